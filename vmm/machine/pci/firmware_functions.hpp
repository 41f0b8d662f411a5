// SPDX-License-Identifier: Apache-2.0
// Passed-through functions as firmware describes them to a kernel: in a device tree for our EFI
// firmware, or, for a kernel that starts without firmware, as SETUP_PCI nodes of boot_params, which
// is what an EFI stub makes of a ROM (struct pci_setup_rom of Linux's arch/x86/include/asm/pci.h).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/pci_function.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "firmware/linux/boot_params.hpp"

namespace gpuvm {

struct FirmwareFunction {
  TreeFunction tree;           ///< without its ROM's place, which loading decides
  std::vector<std::byte> rom;  ///< empty: none, or not one that a kernel would take
};

/// The BARs as they are now, without the ROM's.
std::vector<TreeBar> tree_bars(const BarSet& bars);

/// Ids, BARs and ROM; where it is on the bus is the caller's to fill in.
FirmwareFunction describe_function(PciFunction& function, const BarSet& bars,
                                   std::span<const std::byte> rom);

/// One SETUP_PCI node for each function with a ROM.
std::vector<SetupData> rom_setup_data(std::span<const FirmwareFunction> functions);

}  // namespace gpuvm
