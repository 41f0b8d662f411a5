// SPDX-License-Identifier: Apache-2.0
// Where the direct boot puts its own structures: guest physical addresses below 640 KiB. Linux
// itself picks places for its trampolines below 0x9f000 from the e820 map (and keeps the first 64
// KiB out of use), so everything here stays away from the top of conventional memory. Source of the
// legacy holes: Documentation/arch/x86/boot.rst, "Memory layout"; ACPI 6.5 section 5.2.5.1.
#pragma once

#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::linux_layout {

// Page 0 holds the real mode vector table and BIOS data area of a PC: left zero, which Linux reads
// as "no EBDA".
inline constexpr GuestAddress kGdt{0x1000};
inline constexpr GuestAddress kStackTop{0x6000};  ///< grows down; 0x2000 to here is free for it
inline constexpr GuestAddress kZeroPage{0x7000};  ///< struct boot_params
inline constexpr GuestAddress kPageTables{0x9000};
/// PML4, PDPT, four page directories, and two more for a kernel above 4 GiB.
inline constexpr std::uint64_t kPageTablePages = 8;
inline constexpr GuestAddress kCommandLine{0x20000};
inline constexpr std::uint64_t kCommandLineMax = 64_KiB;  ///< with its NUL

/// The first 1 MiB as a PC has it: RAM, then the EBDA, the VGA window and the ROM area. ACPI and
/// SMBIOS tables may go to [kRomArea, kHighMemory).
inline constexpr GuestAddress kEbda{0x9fc00};
inline constexpr GuestAddress kVgaWindow{0xa0000};
inline constexpr GuestAddress kRomArea{0xe0000};
inline constexpr GuestAddress kHighMemory{0x100000};

}  // namespace gpuvm::linux_layout
