// SPDX-License-Identifier: Apache-2.0
// A library that makes gpuvm leak, for tests/lab/soak_leak_test.sh: loaded before the others (LD_PRELOAD), it keeps an open file, a
// thread, a mapping, locked and private memory and some heap each time a KVM VM is made, which is once a reboot.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kHeap = 4096, kPrivate = 128 * 1024, kLocked = 8192 };

static void* sleep_for_ever(void* unused) {
  pthread_setname_np(pthread_self(), "leaked");
  for (;;) {
    pause();
  }
  return unused;
}

static void leak(void) {
  pthread_t thread;
  (void)!open("/dev/zero", O_RDONLY);
  pthread_create(&thread, NULL, sleep_for_ever, NULL);
  const int file = memfd_create("leaked", 0);
  if (ftruncate(file, kLocked) == 0) {
    mmap(NULL, kLocked, PROT_READ, MAP_SHARED, file, 0);
  }
  void* const private = mmap(NULL, kPrivate, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(private, 1, kPrivate);
  mlock(private, kLocked);
  memset(malloc(kHeap), 1, kHeap);
}

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == KVM_CREATE_VM) {
    leak();
  }
  return (int)syscall(SYS_ioctl, fd, request, argument);
}
