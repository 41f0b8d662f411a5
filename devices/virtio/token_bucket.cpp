// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/token_bucket.hpp"

#include <algorithm>
#include <cmath>

namespace gpuvm {

std::chrono::milliseconds TokenBucket::rest(Clock::time_point now) {
  if (a_second_ <= 0) {
    return std::chrono::milliseconds(0);
  }
  if (now > filled_) {
    const std::chrono::duration<double> passed = now - filled_;
    tokens_ = std::min(most_, tokens_ + passed.count() * a_second_);
    filled_ = now;
  }
  if (tokens_ > 0) {
    return std::chrono::milliseconds(0);
  }
  constexpr double kMostMs = 3600e3;  // enough for a long debt, and an int holds it
  const double wait = std::min(std::ceil(-tokens_ / a_second_ * 1000), kMostMs);
  return std::chrono::milliseconds(std::max(1L, static_cast<long>(wait)));
}

void TokenBucket::take(double tokens) {
  if (a_second_ > 0) {
    tokens_ -= tokens;
  }
}

}  // namespace gpuvm
