// SPDX-License-Identifier: Apache-2.0
// disk_bench DISK read|write DEPTH SECONDS: random requests of 4 KiB past the page cache, DEPTH of them on their way at once, by the
// kernel's own asynchronous interface (io_submit(2)), which a static program needs no library for. Prints "REQUESTS n SECONDS s".
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/fs.h>

enum { BLOCK = 4096, MOST = 256 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t random_number(void) {
  static uint64_t state = 88172645463325252U;  // xorshift64: the same places in each run
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

int main(int argc, char** argv) {
  static char buffers[MOST][BLOCK] __attribute__((aligned(BLOCK)));
  static struct iocb blocks[MOST];
  struct iocb* ready[MOST];
  struct io_event events[MOST];
  const int disk = argc == 5 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
  const long depth = argc == 5 ? strtol(argv[3], NULL, 10) : 0;
  uint64_t size = 0;
  aio_context_t context = 0;
  if (disk < 0 || depth < 1 || depth > MOST || ioctl(disk, BLKGETSIZE64, &size) != 0 ||
      syscall(SYS_io_setup, MOST, &context) != 0) {
    perror("disk_bench DISK read|write DEPTH SECONDS");
    return 1;
  }
  long count = depth, requests = 0;
  for (long i = 0; i < depth; ++i) {
    blocks[i].aio_fildes = (uint32_t)disk;
    blocks[i].aio_lio_opcode = strcmp(argv[2], "read") == 0 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
    blocks[i].aio_buf = (uint64_t)(uintptr_t)buffers[i];
    blocks[i].aio_nbytes = BLOCK;
    ready[i] = &blocks[i];
  }
  const double start = now(), end = start + strtod(argv[4], NULL);
  while (now() < end) {
    for (long i = 0; i < count; ++i) {
      ready[i]->aio_offset = (int64_t)(random_number() % (size / BLOCK) * BLOCK);
    }
    if (syscall(SYS_io_submit, context, count, ready) != count) {
      perror("io_submit");
      return 1;
    }
    count = syscall(SYS_io_getevents, context, 1L, depth, events, NULL);
    for (long i = 0; i < count; ++i) {
      if (events[i].res != BLOCK) {
        fprintf(stderr, "a request failed: %lld\n", (long long)events[i].res);
        return 1;
      }
      ready[i] = (struct iocb*)(uintptr_t)events[i].obj;
    }
    requests += count;
  }
  printf("REQUESTS %ld SECONDS %.3f\n", requests, now() - start);
  return 0;
}
