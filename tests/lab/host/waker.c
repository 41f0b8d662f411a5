// SPDX-License-Identifier: Apache-2.0
// The waker of the lab host: interrupts every CPU when a byte comes from PORT, which is once a second (lab_watchdog in
// scripts/lib/lab-run.sh).
//
// Why: QEMU's emulation of SVM can lose a timer's interrupt, and a CPU that waits for its timer then waits for ever, unless
// another interrupt comes. The port's own interrupt wakes one CPU; moving this process to each of the others wakes those.
// Usage: waker PORT

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static void visit_cpus(long cpus) {
  cpu_set_t set;
  for (long cpu = 0; cpu < cpus; ++cpu) {
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: waker PORT\n");
    return 2;
  }
  int port = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (port < 0) {
    perror(argv[1]);
    return 1;
  }
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  char bytes[64];
  while (read(port, bytes, sizeof bytes) > 0) {
    if (cpus > 1) {
      visit_cpus(cpus);
    }
  }
  return 0;
}
