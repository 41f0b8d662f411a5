// SPDX-License-Identifier: Apache-2.0
// QueueWatch: what a guest in the queue waits for: a file of /run/gpuvm that is released or changed
// (inotify(7)), and a signal that ends the wait (signalfd(2)).
// Missing: the host's own uses of a card, and those of other programs, end without an event; and
// the kernel tells of a file that a killed process had open a moment before it lets go of its lock
// (fs/file_table.c, __fput). So who waits must look again once in a while, too.
#pragma once

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// SIGINT, SIGTERM, and SIGHUP where it is not ignored, wait on this thread and those that it
/// starts until this goes, or for good if they are left to somebody else.
class EndSignals {
 public:
  EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;
  ~EndSignals();

  const sigset_t& set() const { return set_; }
  /// They stay blocked for a ControlLoop, which takes them.
  void leave() { is_left_ = true; }

 private:
  sigset_t set_{};
  sigset_t before_{};
  bool is_left_ = false;
};

/// One thread.
class QueueWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// Hears of what happens from now on. The folder is there. `signals` must outlive it. Errors:
  /// kHost.
  static Result<QueueWatch> create(const HostSystem& host, const EndSignals& signals);

  /// What is worth another look. Who looks at every change keeps the others from theirs.
  struct Of {
    bool claims = true;                  ///< one that is released
    std::vector<std::uint64_t> tickets;  ///< that go, or want something else
  };
  enum class Why { kChange, kTime, kSignal };
  /// Until one of them, also a change since the last rest(). After a signal all waits end at once.
  Why wait(Clock::time_point until, const Of& of);
  /// For a time, whatever happens but a signal; the changes meanwhile are none any more.
  Why rest(std::chrono::milliseconds time);
  /// The signal that came.
  std::optional<int> signal() const { return signal_; }

 private:
  QueueWatch(UniqueFd changes, UniqueFd signals)
      : changes_(std::move(changes)), signals_(std::move(signals)) {}
  void wait_for_input(Clock::time_point until, bool with_changes);
  bool has_changed(const Of& of);
  bool is_signalled();

  UniqueFd changes_;
  UniqueFd signals_;
  std::optional<int> signal_;
};

}  // namespace gpuvm
