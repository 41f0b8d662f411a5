// SPDX-License-Identifier: Apache-2.0
// ClockTimer: the control thread waits for the alarms of the guest's clock, which are up to a day
// ahead.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "vmm/base/asio.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

class ClockTimer {
 public:
  /// `expired` is called on the thread of `context`, which must outlive this.
  ClockTimer(boost::asio::io_context& context, std::function<void()> expired)
      : context_(context), timer_(context), expired_(std::move(expired)) {}
  ClockTimer(const ClockTimer&) = delete;
  ClockTimer& operator=(const ClockTimer&) = delete;

  /// Asks for a call of `expired` after this time, in place of any asked for before; nothing
  /// cancels. Any thread; returns at once. A guest asks with each write to its clock: however many
  /// that are before the control thread looks, they are one piece of work for it, or a guest that
  /// does nothing else would fill the host's memory and keep the control thread from all else.
  void arm(std::optional<std::chrono::nanoseconds> delay) GPUVM_EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  void follow() GPUVM_EXCLUDES(mutex_);

  boost::asio::io_context& context_;
  boost::asio::steady_timer timer_;  ///< the control thread's
  const std::function<void()> expired_;
  Mutex mutex_;
  std::optional<Clock::time_point> wanted_ GPUVM_GUARDED_BY(mutex_);
  bool is_posted_ GPUVM_GUARDED_BY(mutex_) = false;  ///< follow() will look at `wanted_`
};

}  // namespace gpuvm
