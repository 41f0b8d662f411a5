// SPDX-License-Identifier: Apache-2.0
// WorstError: of the errors of many steps that do not depend on each other, the one that decides
// the exit status.
#pragma once

#include <optional>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Keeps the error to end with: a device that is not safe to use (75) before all others, for a
/// script must not take it again; else the first. The others are logged. One thread.
class WorstError {
 public:
  void add(Status status) {
    if (status) {
      return;
    }
    Error error = std::move(status).error();
    if (!worst_) {
      worst_ = std::move(error);
      return;
    }
    if (is_unsafe(error) && !is_unsafe(*worst_)) {
      std::swap(error, *worst_);
    }
    log::error("{}", error.to_string());
  }

  /// The error to end with, or success.
  Status take() { return worst_ ? Status(*std::move(worst_)) : Status(); }

 private:
  static bool is_unsafe(const Error& error) { return error.kind() == ErrorKind::kUnsafeDevice; }

  std::optional<Error> worst_;
};

}  // namespace gpuvm
