// SPDX-License-Identifier: Apache-2.0
// A plugin of the lab's QEMU that mends two faults of its emulation of SVM, both of which want the big lock where it is not held:
//
// - helper_vmrun (up to 10.1) sets a bit of interrupt_request when KVM waits for its interrupt window. The thread of the timers may
//   set another one at the same time, and an interrupt of the lab host is lost, for which it then waits for ever:
//   tests/lab/host/window_storm.c shows it within seconds.
// - helper_write_crN (10.0; still so in 11.1) raises an interrupt when a guest writes CR8 while KVM waits for its interrupt window, as
//   OVMF does at the end of each interrupt. tcg_handle_interrupt asserts the lock: QEMU aborts.
//
// Built with QEMU_PLUGIN_API, the version of QEMU's interface for plugins: 4 (10.0) or 7 (11.1, which has the second fault only).
// QEMU exports all that is declared here; its headers are in no package.

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct CPUState CPUState;
typedef struct CPUX86State CPUX86State;
typedef void Handler(CPUState *cpu, int mask);
typedef void Vmrun(CPUX86State *env, int address_size, int instruction_length);

bool bql_locked(void);
void bql_lock_impl(const char *file, int line);
void bql_unlock(void);
void *object_class_by_name(const char *name);
#if QEMU_PLUGIN_API == 4
void qemu_plugin_register_vcpu_init_cb(uint64_t id, void (*callback)(uint64_t id, unsigned int vcpu));
#else
void qemu_plugin_register_vcpu_init_cb(uint64_t id, void (*callback)(unsigned int vcpu, void *data), void *data);
#endif
Handler tcg_handle_interrupt;
Vmrun helper_vmrun;
extern struct {
  Vmrun *function;  // what translated code calls
} helper_info_vmrun;

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = QEMU_PLUGIN_API;
EXPORTED int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static bool take_lock(void) {
  if (bql_locked()) {
    return false;
  }
  bql_lock_impl(__FILE__, __LINE__);
  return true;
}

static void handle_interrupt_locked(CPUState *cpu, int mask) {
  bool is_ours = take_lock();
  tcg_handle_interrupt(cpu, mask);
  if (is_ours) {
    bql_unlock();
  }
}

// When this leaves by longjmp, with an exit of the guest, the loop of the CPU gives the lock back.
static void vmrun_locked(CPUX86State *env, int address_size, int instruction_length) {
  bool is_ours = take_lock();
  helper_vmrun(env, address_size, instruction_length);
  if (is_ours) {
    bql_unlock();
  }
}

static bool replace_vmrun(void) {
  if (QEMU_PLUGIN_API != 4) {
    return true;
  }
  if (helper_info_vmrun.function != helper_vmrun) {
    return false;
  }
  helper_info_vmrun.function = vmrun_locked;
  return true;
}

// In the accelerator's table of functions.
static bool replace_handler(void) {
  Handler **table = object_class_by_name("tcg-accel-ops");
  size_t entries = table == NULL ? 0 : malloc_usable_size(table) / sizeof *table;
  for (size_t i = 0; i < entries; ++i) {
    if (table[i] == tcg_handle_interrupt) {
      table[i] = handle_interrupt_locked;
      return true;
    }
  }
  return false;
}

// With the first CPU the tables are complete, and nothing has been translated.
static void mend(unsigned int vcpu) {
  if (vcpu == 0 && !(replace_vmrun() && replace_handler())) {
    fprintf(stderr, "lab-qemu-plugin: this is another QEMU than the one that it was written for\n");
    exit(1);
  }
}

#if QEMU_PLUGIN_API == 4
static void on_cpu(uint64_t id, unsigned int vcpu) {
  (void)id;
  mend(vcpu);
}

static void await_cpu(uint64_t id) { qemu_plugin_register_vcpu_init_cb(id, on_cpu); }
#else
static void on_cpu(unsigned int vcpu, void *data) {
  (void)data;
  mend(vcpu);
}

static void await_cpu(uint64_t id) { qemu_plugin_register_vcpu_init_cb(id, on_cpu, NULL); }
#endif

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
  (void)info, (void)argc, (void)argv;
  await_cpu(id);
  return 0;
}
