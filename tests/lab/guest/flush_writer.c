// SPDX-License-Identifier: Apache-2.0
// flush_writer DISK BLOCKS: writes blocks of 4 KiB, one after the other and round and round, each full of its number in the
// sequence (from 1), and says "FLUSHED n" when an fdatasync(2) has said that all up to n are stable. For ever. tests/lab/lib/flushed.pl
// judges what a disk then must hold.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096, BETWEEN_FLUSHES = 16 };

int main(int argc, char** argv) {
  static uint64_t block[BLOCK / sizeof(uint64_t)] __attribute__((aligned(BLOCK)));
  const int disk = argc == 3 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
  const uint64_t blocks = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
  if (disk < 0 || blocks == 0) {
    fprintf(stderr, "usage: flush_writer DISK BLOCKS\n");
    return 64;
  }
  for (uint64_t number = 1;; ++number) {
    for (size_t i = 0; i < sizeof block / sizeof *block; ++i) {
      block[i] = number;
    }
    if (pwrite(disk, block, sizeof block, (off_t)(number % blocks * BLOCK)) != sizeof block) {
      perror("pwrite");
      return 1;
    }
    if (number % BETWEEN_FLUSHES == 0) {
      if (fdatasync(disk) != 0) {
        perror("fdatasync");
        return 1;
      }
      printf("FLUSHED %llu\n", (unsigned long long)number);
      fflush(stdout);
    }
  }
}
