// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/throttle.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

TokenBucket bucket_of(std::uint64_t a_second, Throttle::Clock::time_point now) {
  const auto rate = static_cast<double>(a_second);
  return {rate, std::max(rate / 10, 1.0), now};
}

}  // namespace

Throttle::Throttle(const Limits& limits, Clock::time_point now)
    : limited_(limits.requests != 0 || limits.bytes != 0),
      requests_(bucket_of(limits.requests, now)),
      bytes_(bucket_of(limits.bytes, now)) {}

std::chrono::milliseconds Throttle::rest(Clock::time_point now) {
  if (!limited_) {
    return std::chrono::milliseconds(0);
  }
  const MutexLock lock(mutex_);
  return std::max(requests_.rest(now), bytes_.rest(now));
}

void Throttle::take(std::uint64_t bytes) {
  if (!limited_) {
    return;
  }
  const MutexLock lock(mutex_);
  requests_.take(1);
  bytes_.take(static_cast<double>(bytes));
}

}  // namespace gpuvm
