// SPDX-License-Identifier: Apache-2.0
// bar_find RESOURCE TEXT: how often TEXT is in a BAR (/sys/bus/pci/devices/.../resourceN), at any place:
// "FOUND 3 in 16777216 bytes". Runs in the guest.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char** argv) {
  if (argc != 3 || argv[2][0] == 0) {
    fprintf(stderr, "usage: bar_find RESOURCE TEXT\n");
    return 2;
  }
  struct stat about;
  const int fd = open(argv[1], O_RDWR);
  if (fd < 0 || fstat(fd, &about) != 0 || about.st_size % 8 != 0) {
    fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
    return 1;
  }
  const size_t size = (size_t)about.st_size;
  volatile uint64_t* bar = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  char* copy = malloc(size);
  if (bar == MAP_FAILED || copy == NULL) {
    fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
    return 1;
  }
  for (size_t i = 0; i < size / 8; ++i) {
    const uint64_t value = bar[i];
    memcpy(copy + i * 8, &value, 8);
  }
  const size_t length = strlen(argv[2]);
  unsigned found = 0;
  char* at = copy;
  while ((at = memmem(at, size - (size_t)(at - copy), argv[2], length)) != NULL) {
    ++found;
    at += length;
  }
  printf("FOUND %u in %zu bytes\n", found, size);
  return 0;
}
