// SPDX-License-Identifier: Apache-2.0
// Filter: a seccomp filter as instructions of the kernel, made by libseccomp ahead of time, so that
// a thread, or a child between fork(2) and execve(2), can take it on with system calls alone.
// seccomp(2), prctl(2); Linux 4.14 for the actions used here.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/sandbox/filter_row.hpp"

namespace gpuvm::sandbox {

/// What becomes of a call that no row is about.
enum class Refusal : std::uint8_t {
  kTrap,         ///< the thread gets SIGSYS, as violation.hpp has it
  kKillProcess,  ///< the process ends by SIGSYS: for programs that are not gpuvm
  kDenied,       ///< it fails with EPERM
};

class Filter {
 public:
  /// Allows what `rows` say, each call as the union of its rows. Calls of other architectures and
  /// of x32 end the process. `refusal` is what becomes of all others. Any thread, once
  /// check_seccomp() has been called. Errors: kInternal: libseccomp
  /// refuses a row, which is named.
  static Result<Filter> create(std::span<const Row> rows, Refusal refusal);
  /// As it is: log mode has its own.
  explicit Filter(std::vector<sock_filter> instructions) : code_(std::move(instructions)) {}
  Filter() = default;

  /// Takes it on, for the calling thread alone and the threads and processes that it makes from
  /// then on; sets no_new_privs, which that needs. Cannot be undone. 0, or errno of prctl(2) or
  /// seccomp(2). Async-signal-safe: two system calls, nothing else. Any number of filters add up.
  int install() const noexcept;
  std::span<const sock_filter> code() const { return code_; }
  bool empty() const { return code_.empty(); }

 private:
  std::vector<sock_filter> code_;
};

/// Whether the kernel takes filters with the actions that `refusal` and log mode need; libseccomp
/// learns what the kernel has, which it keeps without a lock. Errors:
/// kHost, why not.
Status check_seccomp();

}  // namespace gpuvm::sandbox
