// SPDX-License-Identifier: Apache-2.0
// PciIoDevice: the PCI I/O protocol of one passed-through function, as much of it as a kernel's
// stub uses to take over an option ROM: configuration accesses, location, attributes and the ROM
// image. Specification: UEFI 2.10, section 14.4. Missing: BAR accesses, DMA.
#pragma once

#include "firmware/efi/machine_description.hpp"
#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

struct PciIoDevice {
  PciIo protocol = {};  ///< first: the services get a pointer to it and find the rest behind
  PciFunctionDescription function;
  std::uint64_t config = 0;  ///< address of its 4 KiB in the ECAM

  void open(const PciFunctionDescription& description, std::uint64_t ecam);
};

}  // namespace gpuvm::efi
