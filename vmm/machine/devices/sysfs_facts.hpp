// SPDX-License-Identifier: Apache-2.0
// What sysfs tells of a function that nobody has opened: nothing happens to it. What VFIO alone
// knows is taken as Linux's vfio-pci does it: as many vectors as the capabilities announce, INTx
// for a function with a pin, BARs that can be mapped with the MSI-X table's pages (Linux 4.16 and
// later; Documentation/ABI/testing/sysfs-bus-pci).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "devices/passthrough/function_facts.hpp"
#include "vmm/host/bar_resize.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// Its configuration space as VFIO would show it: with the ids of virtual functions, whose own
/// registers have none. Fewer bytes, or none, where sysfs hides them.
std::vector<std::byte> sysfs_config(const HostSystem& host, const HostPciDevice& device);

/// What sysfs said of a function.
struct SysfsAnswers {
  std::vector<std::byte> config;            ///< as much as it shows
  std::optional<std::vector<PciBar>> bars;  ///< nothing: it does not tell
  PciIds ids;
  std::optional<CardLink> card = {};  ///< of virtual functions
};
/// What follows of that. Sizes may be any.
FunctionFacts sysfs_facts(SysfsAnswers answers, bool has_function_reset);

/// Not complete where sysfs hides capabilities, as it does without root, or does not tell BARs.
/// `has_function_reset`: sysfs_function.hpp tells.
FunctionFacts sysfs_facts(const HostSystem& host, const HostPciDevice& device,
                          bool has_function_reset = true);

/// Changes what is known of the function to what it will be once a BAR has the size that was chosen
/// for it. Errors: kConfig: it cannot have that.
Status take_bar_size(FunctionFacts& facts, const HostSystem& host, const Bdf& bdf,
                     const std::optional<BarSizeChoice>& choice);

}  // namespace gpuvm
