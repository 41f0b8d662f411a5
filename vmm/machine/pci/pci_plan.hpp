// SPDX-License-Identifier: Apache-2.0
// Where the guest's PCI address space lies and which BAR has which address in it, before any device
// exists: the layout's apertures, the 64-bit one above RAM.
#pragma once

#include <span>
#include <vector>

#include "devices/pci/pci_windows.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

struct PciPlan {
  GuestRange aperture64;
  std::vector<PortPlacement> placements;  ///< of the requests, in their order
};

/// `free`: address space above all RAM, ascending, from which the 64-bit BARs take the uppermost
/// part that has room; see free_above_memory(). Errors: kConfig (a BAR does not fit).
Result<PciPlan> plan_pci(std::span<const GuestRange> free, std::span<const PortRequest> ports);

/// ECAM and windows as a device tree has them; no functions.
TreePci tree_without_functions(const GuestRange& aperture64, unsigned buses);

}  // namespace gpuvm
