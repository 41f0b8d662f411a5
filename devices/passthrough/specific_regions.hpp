// SPDX-License-Identifier: Apache-2.0
// Device-specific regions: those of a function behind its BARs, ROM and configuration space, which
// one vendor's devices have. Which are known, what they are and whether they are memory: policy as
// a table. Types and subtypes: Linux, include/uapi/linux/vfio.h (VFIO_REGION_TYPE_PCI_VENDOR_TYPE
// and the subtypes beside it).
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "devices/physical/physical_device.hpp"

namespace gpuvm {

struct SpecificRegion {
  RegionType type;
  const char* name;      ///< in coherent_memory's region
  const char* what;      ///< for people
  const char* unusable;  ///< why it is no memory for the guest's CPUs; nullptr where it is
};

constexpr std::uint32_t vendor_region_type(std::uint32_t vendor) {
  return std::uint32_t{1} << 31 | vendor;
}

inline constexpr std::array<SpecificRegion, 5> kSpecificRegions = {{
    {{vendor_region_type(0x10de), 1}, "nvlink2-ram", "NVIDIA's NVLink2 memory", nullptr},
    {{vendor_region_type(0x1014), 1},
     "nvlink2-atsd",
     "IBM's NVLink2 ATSD registers",
     "a page of registers of a POWER9 host bridge, by which a GPU's address translations are "
     "invalidated"},
    {{vendor_region_type(0x8086), 1},
     "intel-opregion",
     "Intel's OpRegion",
     "a table that the host's firmware wrote"},
    {{vendor_region_type(0x8086), 2},
     "intel-host-bridge",
     "Intel's host bridge",
     "another function's configuration space"},
    {{vendor_region_type(0x8086), 3},
     "intel-lpc-bridge",
     "Intel's LPC bridge",
     "another function's configuration space"},
}};

/// nullptr for one that is not in the table.
constexpr const SpecificRegion* find_specific_region(RegionType type) {
  const auto* const found =
      std::find_if(kSpecificRegions.begin(), kSpecificRegions.end(),
                   [type](const SpecificRegion& each) { return each.type == type; });
  return found == kSpecificRegions.end() ? nullptr : found;
}

/// "nvlink2-ram (NVIDIA's NVLink2 memory)"; "0x80001234:0x2" where it is not in the table.
std::string to_string(RegionType type);

/// A name of the table, or TYPE:SUBTYPE as numbers, such as "0x800010de:1". Errors: kConfig: no
/// such name, or one that is no memory.
Result<RegionType> parse_memory_region(std::string_view text);

}  // namespace gpuvm
