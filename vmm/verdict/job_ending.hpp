// SPDX-License-Identifier: Apache-2.0
// JobEnding: how the guest of a job comes to its end once there is a word that decides: it may end
// by itself, then its power button is pressed, then it is stopped. Each is bounded in time. Pure:
// it reads no clock.
#pragma once

#include <chrono>
#include <optional>

#include "vmm/verdict/verdict_fold.hpp"

namespace gpuvm {

struct EndingTimes {
  /// After an exit status: for the guest to power off by itself.
  std::chrono::milliseconds own_end{20'000};
  /// After a pattern on the console: for what is printed behind it.
  std::chrono::milliseconds pattern_rest{3'000};
  /// After the power button.
  std::chrono::milliseconds power_off{10'000};
  /// After a panic: the guest is stopped when it has printed nothing for so long, or after
  /// panic_most. A crash kernel has panic_most, however quiet it is.
  std::chrono::milliseconds panic_silence{10'000};
  std::chrono::milliseconds panic_most{120'000};
};

/// One thread at a time.
class JobEnding {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Step { kPressPowerButton, kStop };

  explicit JobEnding(EndingTimes times) : times_(times) {}

  void found(EndingCause cause, TimePoint now);
  /// A limit is over: the button at once.
  void limit_over(TimePoint now);
  /// Nothing more is to be had of this guest.
  void stop_now(TimePoint now) { stop_by(now); }
  void console_output(TimePoint now) { last_output_ = now; }

  /// True from the first word that decides.
  bool has_begun() const { return stop_at_.has_value(); }
  /// When to ask next; nothing: nothing is to be done.
  std::optional<TimePoint> next() const;
  /// What is to be done now, each step once.
  std::optional<Step> due(TimePoint now);

 private:
  void press_by(TimePoint time);
  void stop_by(TimePoint time);
  std::optional<TimePoint> stop_time() const;

  const EndingTimes times_;
  std::optional<TimePoint> press_at_;
  std::optional<TimePoint> stop_at_;
  std::optional<TimePoint> silent_since_;  ///< of a panic: with last_output_
  TimePoint last_output_ = {};
  bool has_crash_kernel_ = false;
  bool is_stopped_ = false;
};

}  // namespace gpuvm
