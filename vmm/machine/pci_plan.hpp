// SPDX-License-Identifier: Apache-2.0
// Where the guest's PCI address space lies and which BAR has which address in it, before any device
// exists: the layout's apertures, the 64-bit one above RAM.
#pragma once

#include <span>
#include <vector>

#include "devices/pci/pci_windows.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// The first address above RAM, at least 4 GiB.
GuestAddress end_of_memory(const GuestMemory& memory);

struct PciPlan {
  GuestRange aperture64;
  std::vector<PortPlacement> placements;  ///< of the requests, in their order
};

/// Places for devices' memory of these sizes, one above the other from end_of_memory() on, as
/// guests bring memory online in large blocks.
std::vector<GuestRange> place_device_memory(const GuestMemory& memory,
                                            std::span<const std::uint64_t> sizes);

/// The first address above RAM and devices' memory.
GuestAddress end_of_memory(const GuestMemory& memory, std::span<const GuestRange> device_memory);

/// `end`: of all memory. `address_bits`: what the guest's CPUs can address. Errors: kConfig (a BAR
/// does not fit).
Result<PciPlan> plan_pci(GuestAddress end, std::span<const PortRequest> ports,
                         unsigned address_bits);

/// ECAM and windows as a device tree has them; no functions.
TreePci tree_without_functions(const GuestRange& aperture64, unsigned buses);

}  // namespace gpuvm
