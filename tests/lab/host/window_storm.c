// SPDX-License-Identifier: Apache-2.0
// What loses an interrupt of an emulated lab host within seconds, if its emulator can lose one: a guest that keeps KVM waiting for
// its interrupt window nearly all the time, and so many timers of the lab host that one goes off whenever KVM enters the guest.
// (QEMU 7.2 to 10.1 set the flag of the one without the lock that guards the flag of the other.) The lab host then halts for ever.
// Usage: window_storm SECONDS

#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kMemorySize = 0x10000, kCode = 0x1000, kHandler = 0x1100, kTimerVector = 8 };

// Real mode: the PIC's and PIT's setup, then for ever: interrupts off for 200 exits, and on for a moment.
static const uint8_t code[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xb0, kTimerVector, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21,  // the vectors of the first PIC
    0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21,                                  // only the timer's input
    0xb0, 0x34, 0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, 0xb0, 0x04, 0xe6, 0x40,          // 1000 times a second
    0xfa, 0x66, 0xbe, 0xc8, 0x00, 0x00, 0x00,                                        // cli; mov $200, %esi
    0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x66, 0x4e, 0x75, 0xf7,                            // xor %eax, %eax; cpuid; dec %esi; jnz
    0xfb, 0x90, 0x90, 0xeb, 0xeb,                                                    // sti; nop; nop; jmp to the cli
};
static const uint8_t handler[] = {0xb0, 0x20, 0xe6, 0x20, 0xcf};  // end of interrupt; iret

static int check(int result, const char *what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
  return result;
}

static void *make_timers_go_off(void *count) {
  const struct timespec moment = {.tv_nsec = 20000};
  for (;;) {
    nanosleep(&moment, NULL);
    ++*(volatile unsigned long *)count;
  }
  return NULL;
}

static void *run_guest(void *vcpu) {
  for (;;) {
    check(ioctl(*(int *)vcpu, KVM_RUN, 0), "KVM_RUN");
  }
  return NULL;
}

static int make_guest(void) {
  int kvm = check(open("/dev/kvm", O_RDWR), "/dev/kvm");
  int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
  check(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
  struct kvm_pit_config pit = {0};
  check(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
  uint8_t *memory = mmap(NULL, kMemorySize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(memory + kCode, code, sizeof code);
  memcpy(memory + kHandler, handler, sizeof handler);
  memcpy(memory + kTimerVector * 4, &(uint32_t){kHandler}, 4);
  struct kvm_userspace_memory_region region = {.memory_size = kMemorySize, .userspace_addr = (uintptr_t)memory};
  check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
  int vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
  struct kvm_sregs sregs;
  check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
  sregs.cs.base = sregs.cs.selector = 0;
  check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
  struct kvm_regs regs = {.rip = kCode, .rsp = kMemorySize - 16, .rflags = 2};
  check(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
  return vcpu;
}

int main(int argc, char **argv) {
  int seconds = argc == 2 ? atoi(argv[1]) : 0;
  if (seconds <= 0) {
    fprintf(stderr, "usage: window_storm SECONDS\n");
    return 2;
  }
  int vcpu = make_guest();
  unsigned long timers = 0;
  pthread_t thread;
  check(-pthread_create(&thread, NULL, run_guest, &vcpu), "thread");
  check(-pthread_create(&thread, NULL, make_timers_go_off, &timers), "thread");
  for (int i = 0; i < seconds; ++i) {
    sleep(1);
  }
  printf("window_storm: %lu timers in %d s\n", timers, seconds);
  return 0;
}
