// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/write_text.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace gpuvm {

Status write_text(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) {
      continue;
    }
    if (wrote <= 0) {
      return fail_errno(ErrorKind::kHost, "Cannot write " + path);
    }
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace gpuvm
