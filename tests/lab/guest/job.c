// SPDX-License-Identifier: Apache-2.0
// The smallest guest that is a job: a kernel (64-bit entry of Linux's boot protocol,
// Documentation/arch/x86/boot.rst) of which the command line says who it is and how it ends,
// "job=12 kind=pass". It finds its card, an NVMe controller, says how large that one's BAR 0 is,
// writes its own number into a register there, and says after a while whether the number is still
// its own. Then it ends by its kind: pass and fail (3) by the exit port, panic by the line that
// Linux prints and a reset, silent by a power off, limit not at all; late says pass
// and then panics, which nobody must hear. Missing: interrupts;
// configuration space other than by ports.
#include <stdint.h>

__asm__(
    ".globl _start\n"
    "_start: lea stack_top(%rip), %rsp\n"
    "mov %rsi, %rdi\n"
    "call job\n"
    ".bss\n.balign 16\n.skip 16384\nstack_top:\n.text\n");

enum {
  kSerial = 0x3f8,
  kExit = 0xf4,
  kPowerControl = 0x604,
  kPowerTimer = 0x608,
  kReset = 0xcf9,
  kAddress = 0xcf8,
  kData = 0xcfc
};
enum { kCommandLine = 0x228 };  // of the boot parameters
enum { kTimerHertz = 3579545, kTimerMask = 0xffffff };
enum { kNvmeClass = 0x010802, kBridgeClass = 0x060400, kAdminQueueAttributes = 0x24 };

static void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
static void out16(uint16_t port, uint16_t value) {
  __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}
static void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}
static uint32_t in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void print(const char* text) {
  while (*text != 0) {
    out8(kSerial, (uint8_t)*text++);
  }
}

static void print_number(uint32_t number) {
  char digits[11];
  char* at = digits + 10;
  *at = 0;
  do {
    *--at = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  print(at);
}

// Whether `word` begins with `begin`.
static int begins(const char* word, const char* begin) {
  while (*begin != 0 && *word == *begin) {
    ++word;
    ++begin;
  }
  return *begin == 0;
}

// What follows NAME in the command line; an empty text without it.
static const char* option(const char* line, const char* name) {
  while (*line != 0 && !begins(line, name)) {
    ++line;
  }
  for (; *name != 0 && *line != 0; ++name) {
    ++line;
  }
  return line;
}

static uint32_t number(const char* text) {
  uint32_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    value = value * 10 + (uint32_t)(*text - '0');
  }
  return value;
}

static uint32_t read_config(uint32_t function, uint32_t at) {
  out32(kAddress, 0x80000000u | function << 8 | at);
  return in32(kData);
}

static void write_config(uint32_t function, uint32_t at, uint32_t value) {
  out32(kAddress, 0x80000000u | function << 8 | at);
  out32(kData, value);
}

// Bus and device of the card; 0: there is none. Bridges on the way get memory and bus mastering.
static uint32_t find_card(void) {
  for (uint32_t function = 0; function < 64u << 8; function += 8) {
    const uint32_t class = read_config(function, 8) >> 8;
    if (class == kNvmeClass || class == kBridgeClass) {
      write_config(function, 4, read_config(function, 4) | 6);
    }
    if (class == kNvmeClass) {
      return function;
    }
  }
  return 0;
}

static uint32_t size_of_bar(uint32_t function) {
  const uint32_t before = read_config(function, 0x10);
  write_config(function, 0x10, 0xffffffff);
  const uint32_t mask = read_config(function, 0x10) & ~0xfu;
  write_config(function, 0x10, before);
  return ~mask + 1;
}

static void rest(uint32_t ticks) {
  const uint32_t begin = in32(kPowerTimer);
  while (((in32(kPowerTimer) - begin) & kTimerMask) < ticks) {
    for (int i = 0; i < 1000; ++i) {
      __asm__ volatile("pause");
    }
  }
}

static void use_card(uint32_t name) {
  const uint32_t card = find_card();
  print("HAS job");
  print_number(name);
  print(" ");
  print_number(card != 0 ? size_of_bar(card) : 0);
  print("\n");
  if (card == 0) {
    return;
  }
  volatile uint32_t* const mark =
      (uint32_t*)(uintptr_t)((read_config(card, 0x10) & ~0xfu) + kAdminQueueAttributes);
  *mark = name;
  rest(kTimerHertz / 5);
  const uint32_t there = *mark;
  print(there == name ? "STILL job" : "NOT-MINE job");
  print_number(there);
  print("\n");
}

static void panic(void) {
  print("Kernel panic - not syncing: the job wants it\n");
  out8(kReset, 2);
  out8(kReset, 6);
}

static void end(const char* kind) {
  if (begins(kind, "pass") || begins(kind, "late")) {
    out8(kExit, 0);
  } else if (begins(kind, "fail")) {
    out8(kExit, 3);
  } else if (begins(kind, "silent")) {
    out16(kPowerControl, 5 << 10 | 1 << 13);
  }
  if (begins(kind, "panic") || begins(kind, "late")) {
    panic();
  }
  for (;;) {
    __asm__ volatile("hlt");
  }
}

void job(const char* boot_parameters) {
  const char* const line =
      (const char*)(uintptr_t) * (const uint32_t*)(boot_parameters + kCommandLine);
  use_card(number(option(line, "job=")));
  end(option(line, "kind="));
}
