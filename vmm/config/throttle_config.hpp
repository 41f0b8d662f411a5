// SPDX-License-Identifier: Apache-2.0
// What disks and network cards of a guest may do at most: throttle of [[disk]] and [[net]].
#pragma once

#include <cstdint>

namespace gpuvm {

/// What a disk may do at most; 0: no limit.
struct DiskThrottle {
  std::uint64_t iops = 0;       ///< requests a second
  std::uint64_t bandwidth = 0;  ///< bytes a second
  bool operator==(const DiskThrottle&) const = default;
};

/// What a network card may do at most, in each direction; 0: no limit.
struct NetThrottle {
  std::uint64_t packets = 0;    ///< a second
  std::uint64_t bandwidth = 0;  ///< bytes a second
  bool is_there() const { return packets != 0 || bandwidth != 0; }
  bool operator==(const NetThrottle&) const = default;
};

}  // namespace gpuvm
