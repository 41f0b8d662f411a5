// SPDX-License-Identifier: Apache-2.0
// EventLog: what happens to a guest (vmm/control/guest_events.hpp) as lines of JSON
// (jsonlines.org), for supervisors. `gpuvm run --events FILE`.
#pragma once

#include <memory>
#include <string>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {

/// Any thread. A line is one write(2); one that cannot be written is lost, and a warning says so
/// once.
class EventLog {
 public:
  /// Appends to a file, or writes to a FIFO that somebody reads. Errors: kUsage.
  static Result<std::unique_ptr<EventLog>> open(const std::string& path);

  void write(const GuestEvent& event) GPUVM_EXCLUDES(mutex_);

 private:
  explicit EventLog(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  Mutex mutex_;
  bool has_warned_ GPUVM_GUARDED_BY(mutex_) = false;
};

}  // namespace gpuvm
