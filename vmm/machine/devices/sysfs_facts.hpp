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
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// What sysfs said of a function.
struct SysfsAnswers {
  std::vector<std::byte> config;            ///< as much as it shows
  std::optional<std::vector<PciBar>> bars;  ///< nothing: it does not tell
  PciIds ids;
};
/// What follows of that. Sizes may be any.
FunctionFacts sysfs_facts(SysfsAnswers answers, bool has_function_reset);

/// Not complete where sysfs hides capabilities, as it does without root, or does not tell BARs.
/// `has_function_reset`: sysfs_function.hpp tells.
FunctionFacts sysfs_facts(const HostSystem& host, const HostPciDevice& device,
                          bool has_function_reset = true);

}  // namespace gpuvm
