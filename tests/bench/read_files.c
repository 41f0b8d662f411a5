// SPDX-License-Identifier: Apache-2.0
// read_files FILE…: reads the files from beginning to end, in pieces of 1 MiB, and prints "reads=SECONDS": what reading a kernel and an
// initrd that the page cache has costs anybody. scripts/bench takes it from a monitor's time.
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  static char buffer[1 << 20];
  const double start = now();
  for (int i = 1; i < argc; ++i) {
    const int file = open(argv[i], O_RDONLY);
    ssize_t count = file >= 0 ? 1 : -1;
    while (count > 0) {
      count = read(file, buffer, sizeof buffer);
    }
    if (count < 0) {
      perror(argv[i]);
      return 1;
    }
    close(file);
  }
  printf("reads=%.6f\n", now() - start);
  return 0;
}
