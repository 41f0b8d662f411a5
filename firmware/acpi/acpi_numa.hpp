// SPDX-License-Identifier: Apache-2.0
// What the SRAT (ACPI 6.5, 5.2.16), the SLIT (5.2.17) and the HMAT (5.2.27) say: which processors,
// memory and devices are near each other. Domains are numbered from 0 without gaps.
// Missing: bandwidths and caches in the HMAT, which nobody knows here: its latencies are those of
// the SLIT in other words.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/base/address.hpp"

namespace gpuvm {

struct AcpiNumaMemory {
  GuestRange range;
  std::uint32_t domain = 0;
  /// Memory of a device, which the guest brings online when it wants to (hot-pluggable).
  bool is_device = false;
};

/// A device that reaches memory by itself (5.2.16.6).
struct AcpiNumaInitiator {
  std::uint8_t bus = 0;
  std::uint8_t devfn = 0;
  std::uint32_t domain = 0;
};

struct AcpiNuma {
  std::vector<std::uint32_t> cpu_domains;  ///< of vCPU n
  std::vector<AcpiNumaMemory> memory;
  std::vector<AcpiNumaInitiator> initiators;
  /// One row and column for each domain: 10 to itself (5.2.17), 11 to 254 to others.
  std::vector<std::vector<std::uint8_t>> distances;
};

/// To a node of which nothing is known.
inline constexpr std::uint8_t kNumaLocalDistance = 10;
inline constexpr std::uint8_t kNumaRemoteDistance = 20;

}  // namespace gpuvm
