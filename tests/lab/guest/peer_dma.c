// SPDX-License-Identifier: Apache-2.0
// peer_dma EDU SOURCE TARGET OFFSET TEXT: one device reads another's BAR and writes a third's. The arguments are folders of
// /sys/bus/pci/devices with the number of a BAR behind a colon: EDU's is that of QEMU's educational device (its
// docs/specs/edu.rst), which copies TEXT by DMA from OFFSET of SOURCE's BAR to OFFSET of TARGET's. Prints what is there
// afterwards. Runs in the guest.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096, kMost = 64, kSource = 0x80, kTarget = 0x88, kCount = 0x90, kCommand = 0x98, kBuffer = 0x40000 };
enum { kStart = 1, kFromDevice = 2, kSeconds = 20 };

struct Bar {
  char folder[256];
  unsigned number;
};

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static struct Bar parse(const char *text) {
  struct Bar bar;
  const char *colon = strrchr(text, ':');
  if (colon == NULL || (size_t)(colon - text) >= sizeof bar.folder) {
    die(text);
  }
  memcpy(bar.folder, text, (size_t)(colon - text));
  bar.folder[colon - text] = 0;
  bar.number = (unsigned)atoi(colon + 1);
  return bar;
}

static volatile char *map(struct Bar bar, off_t offset) {
  char path[300];
  snprintf(path, sizeof path, "%s/resource%u", bar.folder, bar.number);
  int fd = open(path, O_RDWR);
  char *page = fd < 0 ? MAP_FAILED : mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  if (page == MAP_FAILED) {
    die(path);
  }
  return page;
}

/// Where the guest's firmware put the BAR: the first word of its line in "resource".
static uint64_t address(struct Bar bar) {
  char path[300];
  snprintf(path, sizeof path, "%s/resource", bar.folder);
  FILE *file = fopen(path, "r");
  uint64_t start = 0;
  for (unsigned line = 0; file != NULL && line <= bar.number; ++line) {
    if (fscanf(file, "%" SCNx64 " %*s %*s", &start) != 1) {
      die(path);
    }
  }
  return start;
}

static void copy(volatile char *edu, uint64_t source, uint64_t target, uint64_t command) {
  *(volatile uint64_t *)(edu + kSource) = source;
  *(volatile uint64_t *)(edu + kTarget) = target;
  *(volatile uint64_t *)(edu + kCount) = kMost;
  *(volatile uint64_t *)(edu + kCommand) = command;
  const time_t end = time(NULL) + kSeconds;
  while ((*(volatile uint64_t *)(edu + kCommand) & kStart) != 0) {
    if (time(NULL) > end) {
      fprintf(stderr, "the device's DMA does not end\n");
      exit(1);
    }
    usleep(10000);
  }
}

int main(int argc, char **argv) {
  if (argc != 6 || strlen(argv[5]) >= kMost) {
    fprintf(stderr, "usage: peer_dma EDU:BAR SOURCE:BAR TARGET:BAR OFFSET TEXT\n");
    return 2;
  }
  const struct Bar from = parse(argv[2]), to = parse(argv[3]);
  const off_t offset = strtoll(argv[4], NULL, 0);
  volatile char *edu = map(parse(argv[1]), 0), *source = map(from, offset), *target = map(to, offset);
  for (size_t i = 0; i < kMost; ++i) {
    source[i] = i < strlen(argv[5]) ? argv[5][i] : 0;
    target[i] = 0;
  }
  copy(edu, address(from) + (uint64_t)offset, kBuffer, kStart);
  copy(edu, kBuffer, address(to) + (uint64_t)offset, kStart | kFromDevice);
  char text[kMost + 1] = {0};
  for (size_t i = 0; i < kMost; ++i) {
    text[i] = target[i];
  }
  printf("%s\n", text);
  return 0;
}
