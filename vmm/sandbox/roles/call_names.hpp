// SPDX-License-Identifier: Apache-2.0
// Names of system calls, read ahead: a handler of signals cannot ask libseccomp for one.
#pragma once

#include <array>
#include <string_view>

namespace gpuvm::sandbox {

class CallNames {
 public:
  /// Fills the table; not for handlers.
  CallNames();
  /// "openat"; "" where libseccomp knew none. Async-signal-safe.
  std::string_view of(long number) const;

 private:
  static constexpr std::size_t kCalls = 512;
  static constexpr std::size_t kLongest = 28;
  std::array<std::array<char, kLongest>, kCalls> names_{};
};

}  // namespace gpuvm::sandbox
