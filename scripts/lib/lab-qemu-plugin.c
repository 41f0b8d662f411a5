// SPDX-License-Identifier: Apache-2.0
// A plugin of the lab's QEMU that mends a fault of its emulation of SVM (10.0; still there in 11.1): a guest that writes CR8 while
// KVM waits for its interrupt window, as OVMF does at the end of an interrupt, makes helper_write_crN raise an interrupt without
// the lock that this needs, and tcg_handle_interrupt ends QEMU for it. Here the lock is taken where it is missing, as
// cpu_reset_interrupt does it.
//
// QEMU exports what is declared here; its headers are in no package.

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct CPUState CPUState;
typedef void Handler(CPUState *cpu, int mask);

bool bql_locked(void);
void bql_lock_impl(const char *file, int line);
void bql_unlock(void);
Handler tcg_handle_interrupt;
void *object_class_by_name(const char *name);
void qemu_plugin_register_vcpu_init_cb(uint64_t id, void (*callback)(uint64_t id, unsigned int vcpu));

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = 4;
EXPORTED int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static void handle_interrupt_locked(CPUState *cpu, int mask) {
  bool takes_lock = !bql_locked();
  if (takes_lock) {
    bql_lock_impl(__FILE__, __LINE__);
  }
  tcg_handle_interrupt(cpu, mask);
  if (takes_lock) {
    bql_unlock();
  }
}

// When there is a CPU, the accelerator has filled its table of functions.
static void replace_handler(uint64_t id, unsigned int vcpu) {
  (void)id;
  Handler **table = object_class_by_name("tcg-accel-ops");
  size_t entries = table == NULL ? 0 : malloc_usable_size(table) / sizeof *table;
  bool is_replaced = vcpu != 0;  // with the first CPU
  for (size_t i = 0; i < entries; ++i) {
    if (table[i] == tcg_handle_interrupt) {
      table[i] = handle_interrupt_locked;
      is_replaced = true;
    }
  }
  if (!is_replaced) {
    fprintf(stderr, "lab-qemu-plugin: this QEMU has no tcg_handle_interrupt in its table\n");
    exit(1);
  }
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_init_cb(id, replace_handler);
  return 0;
}
