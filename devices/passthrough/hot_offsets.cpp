// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/hot_offsets.hpp"

#include <algorithm>

namespace gpuvm {

void HotOffsets::note(std::uint64_t offset, bool write) {
  const MutexLock lock(mutex_);
  ++total_;
  const auto end = hits_.begin() + static_cast<std::ptrdiff_t>(used_);
  auto hit = std::find_if(hits_.begin(), end, [&](const Hit& h) { return h.offset == offset; });
  if (hit == end) {
    if (used_ < kCapacity) {
      ++used_;
      *hit = Hit{.offset = offset};
    } else {
      hit = std::min_element(hits_.begin(), hits_.end(),
                             [](const Hit& a, const Hit& b) { return a.total() < b.total(); });
      *hit = Hit{.offset = offset, .error = hit->total()};
    }
  }
  ++(write ? hit->writes : hit->reads);
}

std::vector<HotOffsets::Hit> HotOffsets::top(std::size_t limit) const {
  std::vector<Hit> sorted;
  {
    const MutexLock lock(mutex_);
    sorted.assign(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(used_));
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Hit& a, const Hit& b) { return a.total() > b.total(); });
  sorted.resize(std::min(limit, sorted.size()));
  return sorted;
}

std::uint64_t HotOffsets::total() const {
  const MutexLock lock(mutex_);
  return total_;
}

}  // namespace gpuvm
