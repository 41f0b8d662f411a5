// SPDX-License-Identifier: Apache-2.0
// TokenBucket: how often something may begin. Tokens come at a rate, and as many as it holds may be
// taken at once after a rest. Whoever takes more than there are leaves a debt, which the next one
// waits for: nothing is cut, and nothing is refused.
#pragma once

#include <chrono>

namespace gpuvm {

/// Not synchronised.
class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;
  /// `a_second`: tokens that come; 0: no limit. `most`: what it holds, above 0; it begins full.
  TokenBucket(double a_second, double most, Clock::time_point now)
      : a_second_(a_second), most_(most), tokens_(most), filled_(now) {}

  /// How long nothing may begin; 0: something may. At most an hour.
  std::chrono::milliseconds rest(Clock::time_point now);
  /// For what begins now.
  void take(double tokens);

 private:
  const double a_second_;
  const double most_;
  double tokens_;  ///< below 0: a debt
  Clock::time_point filled_;
};

}  // namespace gpuvm
