// SPDX-License-Identifier: Apache-2.0
// The guest's physical address map. Windows and hole are the monitor's choice; the rest is where PC
// software expects it. Ports and interrupts of platform devices are in devices/platform.
//
//   0          … 2 GiB at most   RAM below the hole
//   0xa0000    … 0xfffff         legacy area; ACPI and SMBIOS tables in its last 128 KiB
//   0x80000000 … 0xdfffffff      32-bit MMIO window
//   0xe0000000 … 0xefffffff      ECAM, 256 buses
//   0xfec00000, 0xfee00000       I/O APIC, local APICs; KVM's own pages at 0xfeffc000
//   0xfef00000                   a warm guest's generation id (devices/platform/generation_id.hpp)
//   …          … 4 GiB           with boot.mode = "uefi", the firmware's flash
//   4 GiB      …                 RAM above the hole, up to 0xfcffffffff
//   0xfd00000000 … 0xffffffffff  nothing: AMD's HyperTransport (vmm/memory/guest_memory.hpp)
//   1 TiB      …                 RAM for which there is no room below
//   above it                     64-bit MMIO window, aligned to its largest BAR
#pragma once

#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::layout {

constexpr std::uint64_t kLowRamLimit = 2_GiB;
constexpr GuestAddress kMmio32Base{0x80000000};
constexpr std::uint64_t kMmio32Size = 0x60000000;
/// With a UEFI firmware image, which assigns addresses itself, the 32-bit window ends here (OVMF's
/// choice) less the ECAM, wherever the firmware puts that.
constexpr std::uint64_t kMmio32FirmwareEnd = 0xfc000000;
constexpr GuestAddress kEcamBase{0xe0000000};
constexpr std::uint64_t kEcamSize = 256_MiB;
constexpr GuestAddress kIoApicBase{0xfec00000};
constexpr GuestAddress kLocalApicBase{0xfee00000};
constexpr GuestAddress kFourGiB{4_GiB};

/// ACPI tables, then SMBIOS, in the BIOS read-only area where the kernel looks for their anchors.
constexpr GuestAddress kAcpiBase{0xe0000};
constexpr std::uint64_t kAcpiSize = 0x10000;
constexpr std::uint64_t kSmbiosSize = 0x10000;  ///< right behind the ACPI tables

constexpr IoPort kIoWindowBase{0x1000};
constexpr std::uint64_t kIoWindowSize = 0xf000;

}  // namespace gpuvm::layout
