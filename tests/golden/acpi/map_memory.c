// SPDX-License-Identifier: Apache-2.0
// Puts guest memory into acpiexec: acpi_rom_test.sh preloads this library, which maps the file
// $GPUVM_MAP_FILE at $GPUVM_MAP_ADDRESS before the program starts. With its option -do acpiexec
// reads operation regions in memory from these addresses, as a kernel would, in place of buffers of
// its own.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((constructor)) static void map_memory(void) {
  const char* path = getenv("GPUVM_MAP_FILE");
  const char* place = getenv("GPUVM_MAP_ADDRESS");
  if (path == NULL || place == NULL) {
    return;
  }
  void* address = (void*)strtoul(place, NULL, 0);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0 ||
      mmap(address, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, file, 0) !=
          address) {
    perror("map_memory");
    _exit(70);
  }
  close(file);
}
