// SPDX-License-Identifier: Apache-2.0
// LimitClock: the limits of time of a job, as a clock that is told what happens and asked what is
// over. Pure: it reads no clock, so it can be tried without waiting.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace gpuvm {

/// 0: no limit. All count from the guest's first instruction: how long devices take to be reset and
/// memory to be mapped is the host's affair, which has limits of its own.
struct JobLimits {
  std::chrono::milliseconds timeout{0};        ///< for all the guest does
  std::chrono::milliseconds first_console{0};  ///< until the guest prints its first byte
  std::chrono::milliseconds console{0};        ///< between two bytes that it prints
};

enum class JobLimit { kTimeout, kFirstConsole, kConsole };

/// "timeout", "first_console_timeout", "console_timeout": as the configuration has them.
const char* limit_name(JobLimit limit);
/// "10min", "1h 30min", "90 ms", for people.
std::string duration_text(std::chrono::milliseconds duration);

/// One thread at a time.
class LimitClock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit LimitClock(JobLimits limits) : limits_(limits) {}

  /// The guest runs: for the first time, or again after a reboot or a pause, in which it could
  /// print nothing.
  void guest_runs(TimePoint now);
  /// It does not run now, and cannot be expected to print: it is paused, or its devices are reset.
  void guest_rests() { is_running_ = false; }
  void console_output(TimePoint now);

  /// When to ask next; nothing: no limit is near.
  std::optional<TimePoint> next() const;
  /// The limit that is over, in the order of the enumeration where there are several.
  std::optional<JobLimit> expired(TimePoint now) const;

 private:
  std::optional<TimePoint> end_of(JobLimit limit) const;

  const JobLimits limits_;
  bool is_running_ = false;
  bool has_printed_ = false;
  std::optional<TimePoint> began_;  ///< the guest's first instruction
  TimePoint last_sign_ = {};        ///< the last byte, or the guest's going on
};

}  // namespace gpuvm
