// SPDX-License-Identifier: Apache-2.0
// A library for LD_PRELOAD that counts a monitor's requests of ioctl(2) by their codes, and notes the moment of its first KVM_RUN.
// scripts/bench builds it and starts gpuvm and its peers with it: cc -shared -fPIC -O2 -o calls.so calls.c
//
// The file that GPUVM_BENCH_CALLS names has pairs of 64-bit numbers: the moment of the first KVM_RUN and the moment at which the
// library was loaded, in ns of CLOCK_REALTIME, then a code and its count each; what was not used is 0. It is mapped, so that a monitor
// that is killed leaves it as it was then, and it is opened before the monitor gives up any right.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 512, BYTES = PAIRS * 16 };

struct pair {
  _Atomic uint64_t first;
  _Atomic uint64_t second;
};

static const uint64_t kvm_run = 0xae80;  // Linux, include/uapi/linux/kvm.h: _IO(KVMIO, 0x80)
static struct pair* table;
static int (*next_ioctl)(int, unsigned long, void*);

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

__attribute__((constructor)) static void begin(void) {
  const char* const name = getenv("GPUVM_BENCH_CALLS");
  void* place = MAP_FAILED;
  next_ioctl = (int (*)(int, unsigned long, void*))dlsym(RTLD_NEXT, "ioctl");
  const int file = name != NULL ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (file >= 0 && ftruncate(file, BYTES) == 0) {
    place = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (file >= 0) {
    close(file);
  }
  if (place != MAP_FAILED) {
    table = place;
    table[0].second = now();
  }
}

// Open addressing; a full table counts no more codes.
static void count(uint64_t code) {
  const unsigned start = (unsigned)(code * 0x9e3779b97f4a7c15U >> 55);
  for (unsigned i = 0; i < PAIRS; ++i) {
    const unsigned at = 1 + (start + i) % (PAIRS - 1);
    uint64_t expected = 0;
    if (table[at].first == code || atomic_compare_exchange_strong(&table[at].first, &expected, code) || expected == code) {
      ++table[at].second;
      return;
    }
  }
}

int ioctl(int file, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const uint64_t code = request & 0xffffffffU;
  if (table != NULL && code != 0) {
    if (code == kvm_run && table[0].first == 0) {
      uint64_t expected = 0;
      atomic_compare_exchange_strong(&table[0].first, &expected, now());
    }
    count(code);
  }
  return next_ioctl(file, request, argument);
}
