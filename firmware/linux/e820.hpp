// SPDX-License-Identifier: Apache-2.0
// The e820 memory map a PC firmware would give: RAM with the legacy holes of the first 1 MiB, less
// what the machine reserves. Specification: ACPI 6.5 section 15 ("System Address Map Interfaces");
// soft reserved memory is Linux's own (arch/x86/include/asm/e820/types.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// ACPI 6.5, table 15-3.
enum class E820Type : std::uint32_t {
  kRam = 1,
  kReserved = 2,
  kAcpiReclaim = 3,
  kAcpiNvs = 4,
  kUnusable = 5,
  kSoftReserved = 0xefffffff,  ///< memory for a purpose of its own, which drivers give out
};

struct E820Entry {
  GuestRange range;
  E820Type type;
  bool operator==(const E820Entry&) const = default;
};

/// Sorted, without overlaps. `ram`: the guest's memory. `extra`: what the machine adds (ECAM, ACPI
/// tables …), inside RAM or not; it takes precedence over everything else. Errors: kInternal when
/// two extra entries overlap.
Result<std::vector<E820Entry>> build_e820(std::span<const GuestRange> ram,
                                          std::span<const E820Entry> extra);

}  // namespace gpuvm
