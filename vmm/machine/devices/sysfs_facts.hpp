// SPDX-License-Identifier: Apache-2.0
// What sysfs tells of a function that nobody has opened: nothing happens to it. What VFIO alone
// knows is taken as Linux's vfio-pci does it: as many vectors as the capabilities announce, INTx
// for a function with a pin, BARs that can be mapped with the MSI-X table's pages (Linux 4.16 and
// later; Documentation/ABI/testing/sysfs-bus-pci).
#pragma once

#include "devices/passthrough/function_facts.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// Not complete where sysfs hides capabilities, as it does without root, or does not tell BARs.
/// `has_function_reset`: sysfs_function.hpp tells.
FunctionFacts sysfs_facts(const HostSystem& host, const HostPciDevice& device,
                          bool has_function_reset = true);

}  // namespace gpuvm
