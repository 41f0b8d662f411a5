// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/throttle.hpp"

#include <algorithm>
#include <cmath>

namespace gpuvm {

Throttle::Bucket::Bucket(std::uint64_t a_second)
    : rate(static_cast<double>(a_second)), most(std::max(rate / 10, 1.0)), tokens(most) {}

void Throttle::Bucket::fill(std::chrono::duration<double> passed) {
  tokens = std::min(most, tokens + passed.count() * rate);
}

/// Until there is a token at all.
std::chrono::milliseconds Throttle::Bucket::rest() const {
  if (rate <= 0 || tokens > 0) {
    return std::chrono::milliseconds(0);
  }
  constexpr double kMostMs = 3600e3;  // an hour: enough for a long debt, and an int holds it
  const double wait = std::min(std::ceil(-tokens / rate * 1000), kMostMs);
  return std::chrono::milliseconds(std::max(1L, static_cast<long>(wait)));
}

Throttle::Throttle(const Limits& limits, Clock::time_point now)
    : limited_(limits.requests != 0 || limits.bytes != 0),
      requests_(limits.requests),
      bytes_(limits.bytes),
      filled_(now) {}

std::chrono::milliseconds Throttle::rest(Clock::time_point now) {
  if (!limited_) {
    return std::chrono::milliseconds(0);
  }
  const MutexLock lock(mutex_);
  if (now > filled_) {
    requests_.fill(now - filled_);
    bytes_.fill(now - filled_);
    filled_ = now;
  }
  return std::max(requests_.rest(), bytes_.rest());
}

void Throttle::take(std::uint64_t bytes) {
  if (!limited_) {
    return;
  }
  const MutexLock lock(mutex_);
  requests_.tokens -= requests_.rate > 0 ? 1 : 0;
  bytes_.tokens -= bytes_.rate > 0 ? static_cast<double>(bytes) : 0;
}

}  // namespace gpuvm
