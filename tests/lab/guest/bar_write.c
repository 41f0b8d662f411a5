// SPDX-License-Identifier: Apache-2.0
// bar_write RESOURCE OFFSET TEXT: writes TEXT at this offset of a BAR (/sys/bus/pci/devices/…/resourceN), reads it back
// through another mapping, and prints it. Runs in the guest.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { kPage = 4096 };

static char *map(const char *path, off_t offset) {
  int fd = open(path, O_RDWR);
  char *page = fd < 0 ? MAP_FAILED : mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  if (page == MAP_FAILED) {
    fprintf(stderr, "%s at %llx: %s\n", path, (unsigned long long)offset, strerror(errno));
    exit(1);
  }
  return page;
}

int main(int argc, char **argv) {
  if (argc != 4 || strlen(argv[3]) >= 64) {
    fprintf(stderr, "usage: bar_write RESOURCE OFFSET TEXT\n");
    return 2;
  }
  const off_t offset = strtoll(argv[2], NULL, 0);
  const off_t page = offset & ~(off_t)(kPage - 1);
  volatile char *out = map(argv[1], page) + (offset - page);
  for (size_t i = 0; i <= strlen(argv[3]); ++i) {
    out[i] = argv[3][i];
  }
  volatile char *in = map(argv[1], page) + (offset - page);
  char text[64] = {0};
  for (size_t i = 0; i < sizeof text - 1 && in[i] != 0; ++i) {
    text[i] = in[i];
  }
  printf("%s\n", text);
  return strcmp(text, argv[3]) != 0;
}
