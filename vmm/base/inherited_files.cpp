// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/inherited_files.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace gpuvm {
namespace {

void close_files(unsigned first, unsigned last) noexcept {
  // Linux 5.9; older kernels have the files closed by number.
  if (first <= last && ::syscall(SYS_close_range, first, last, 0U) != 0) {
    for (unsigned fd = first; fd <= std::min(last, 65535U); ++fd) {
      ::close(static_cast<int>(fd));
    }
  }
}

}  // namespace

void close_inherited(std::span<const int> kept, unsigned from) noexcept {
  constexpr unsigned kNone = ~0U;
  while (true) {
    unsigned next = kNone;
    for (const int fd : kept) {
      if (fd >= 0 && static_cast<unsigned>(fd) >= from) {
        next = std::min(next, static_cast<unsigned>(fd));
      }
    }
    if (next == kNone) {
      close_files(from, kNone);
      return;
    }
    if (next > from) {
      close_files(from, next - 1);
    }
    from = next + 1;
  }
}

}  // namespace gpuvm
