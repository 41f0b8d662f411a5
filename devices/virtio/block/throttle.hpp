// SPDX-License-Identifier: Apache-2.0
// Throttle: a limit of requests and of bytes in a second, as token buckets that hold a tenth of a
// second's worth. Whoever has taken more than there was (one request of 1 MiB at 4 MiB/s) leaves a
// debt, and the next one waits until it is paid: requests are never cut.
#pragma once

#include <chrono>
#include <cstdint>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// Any thread.
class Throttle {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    std::uint64_t requests = 0;  ///< a second; 0: no limit
    std::uint64_t bytes = 0;
  };
  Throttle(const Limits& limits, Clock::time_point now);

  /// How long nothing may begin; 0: something may.
  std::chrono::milliseconds rest(Clock::time_point now);
  /// One request that begins now.
  void take(std::uint64_t bytes);

 private:
  /// Tokens may be negative: a debt.
  struct Bucket {
    explicit Bucket(std::uint64_t a_second);
    void fill(std::chrono::duration<double> passed);
    std::chrono::milliseconds rest() const;
    const double rate;
    const double most;
    double tokens;
  };
  const bool limited_;
  Mutex mutex_;
  Bucket requests_ GPUVM_GUARDED_BY(mutex_);
  Bucket bytes_ GPUVM_GUARDED_BY(mutex_);
  Clock::time_point filled_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
