// SPDX-License-Identifier: Apache-2.0
// What no program that runs for a guest may do, as a filter of system calls (seccomp(2)) that
// allows the rest; programs with an allow list have this one besides. It also has the lock on
// execve(2): a filter comes before the program itself is started by that very call.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// A call that fails.
struct RefusedCall {
  long number = -1;  ///< SYS_…, of x86-64
  const char* name = "";
  const char* reason = "";
  int error = 1;  ///< EPERM, or ENOSYS where programs then go on without
};

/// For all programs.
std::span<const RefusedCall> refused_calls();

/// execve(2) takes three arguments; the kernel shows filters six. So a call that has two secret
/// numbers in the fourth and fifth is the one that starts the program, and it is the last: the
/// program's memory never holds them.
struct ExecKey {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  /// A fresh one of the kernel's random numbers. Errors: kHost.
  static Result<ExecKey> create();
};

/// `calls` fail; so does memory that is writable and executable, and memory that becomes
/// executable. With `key` execve(2) fails without it, and execveat(2) always. Calls of other
/// architectures end the process, those of x32 fail.
std::vector<sock_filter> refusal_filter(std::span<const RefusedCall> calls,
                                        const std::optional<ExecKey>& key);

}  // namespace gpuvm
