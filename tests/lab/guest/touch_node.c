// SPDX-License-Identifier: Apache-2.0
// touch_node NODE MIB: fills memory of one NUMA node with pages that say which they are: the text
// "gpuvm-coherent" and the page's number, twice. Prints PAGES and how many are on the node.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPage = 4096, kBind = 2 };  // MPOL_BIND

int main(int argc, char** argv) {
  if (argc != 3) {
    return 64;
  }
  const unsigned long node = strtoul(argv[1], NULL, 0);
  const size_t pages = strtoul(argv[2], NULL, 0) * 256;
  const unsigned long mask = 1UL << node;
  char* memory = mmap(NULL, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED ||
      syscall(SYS_mbind, memory, pages * kPage, kBind, &mask, 64UL, 0U) != 0) {
    perror("touch_node");
    return 1;
  }
  for (uint64_t i = 0; i < pages; ++i) {
    char* page = memory + i * kPage;
    memcpy(page, "gpuvm-coherent", 14);
    memcpy(page + 16, &i, sizeof i);
    memcpy(page + kPage - sizeof i, &i, sizeof i);
  }
  size_t there = 0;
  for (size_t i = 0; i < pages; ++i) {
    void* page = memory + i * kPage;
    int status = -1;
    if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0) == 0 && status == (int)node) {
      ++there;
    }
  }
  printf("PAGES %zu %zu\n", pages, there);
  return 0;
}
