// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/clock_timer.hpp"

#include <utility>

namespace gpuvm {

void ClockTimer::arm(std::optional<std::chrono::nanoseconds> delay) {
  {
    const MutexLock lock(mutex_);
    wanted_ = delay ? std::optional(Clock::now() + *delay) : std::nullopt;
    if (std::exchange(is_posted_, true)) {
      return;
    }
  }
  boost::asio::post(context_, [this] { follow(); });
}

void ClockTimer::follow() {
  std::optional<Clock::time_point> wanted;
  {
    const MutexLock lock(mutex_);
    is_posted_ = false;
    wanted = wanted_;
  }
  if (!wanted) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(*wanted);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      expired_();
    }
  });
}

}  // namespace gpuvm
