// SPDX-License-Identifier: Apache-2.0
// EventLog: what happens to a guest (vmm/control/guest_events.hpp) as lines of JSON
// (jsonlines.org), for supervisors. `gpuvm run --events FILE`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {

/// Any thread. A line is one write(2); one that cannot be written is lost: a warning says so
/// once, and at the end how many were.
class EventLog {
 public:
  /// Appends to a file (vmm/base/append_file.hpp says to which), or writes to a FIFO that somebody
  /// reads. Errors: kUsage.
  static Result<std::unique_ptr<EventLog>> open(const std::string& path);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  void write(const GuestEvent& event) GPUVM_EXCLUDES(mutex_);
  /// What a file gets in a run, in place of kMost: for tests. Before the first event.
  void set_most(std::uint64_t bytes) { most_ = bytes; }

  /// Some million events: a guest that resets its devices in a loop causes them without end.
  static constexpr std::uint64_t kMost = std::uint64_t{256} << 20;

 private:
  EventLog(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  bool has_room(std::size_t size) GPUVM_EXCLUDES(mutex_);

  UniqueFd fd_;
  const std::string path_;
  std::uint64_t most_ = kMost;
  Mutex mutex_;
  std::uint64_t lost_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::uint64_t written_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< bytes, of a file
  bool is_full_ GPUVM_GUARDED_BY(mutex_) = false;       ///< the file has its most
};

/// All who hear of a run: `file`, where the user wants one, the journal, where gpuvm has one, and
/// `observers`. What is returned outlives `events`; null: no file. Errors: those of
/// EventLog::open().
Result<std::unique_ptr<EventLog>> add_observers(const std::string& file,
                                                const std::vector<GuestObserver>& observers,
                                                GuestEvents& events);

}  // namespace gpuvm
