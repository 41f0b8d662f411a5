// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/reboot_backoff.hpp"

#include <algorithm>

namespace gpuvm {

std::chrono::seconds RebootBackoff::end(Clock::time_point now) {
  constexpr std::uint64_t kMostDoublings = 20;
  const auto life = now - began_.value_or(now);
  began_.reset();
  if (life >= kLongLife) {
    short_lives_ = 0;
  } else if (life < kShortLife) {
    ++short_lives_;
  }
  if (short_lives_ <= kFree) {
    return std::chrono::seconds(0);
  }
  const auto doublings = std::min(short_lives_ - kFree - 1, kMostDoublings);
  return std::min(longest_, kFirstWait * (std::int64_t{1} << doublings));
}

}  // namespace gpuvm
