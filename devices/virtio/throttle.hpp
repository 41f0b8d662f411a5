// SPDX-License-Identifier: Apache-2.0
// Throttle: a limit of requests and of bytes in a second, as token buckets that hold a tenth of a
// second's worth. Whoever has taken more than there was (one request of 1 MiB at 4 MiB/s) leaves a
// debt, and the next one waits until it is paid: requests are never cut.
#pragma once

#include <chrono>
#include <cstdint>

#include "devices/virtio/token_bucket.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// Any thread.
class Throttle {
 public:
  using Clock = TokenBucket::Clock;
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
  const bool limited_;
  Mutex mutex_;
  TokenBucket requests_ GPUVM_GUARDED_BY(mutex_);
  TokenBucket bytes_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
