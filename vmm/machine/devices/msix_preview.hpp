// SPDX-License-Identifier: Apache-2.0
// What becomes of a function's MSI-X table, from sysfs alone: nothing has happened to the host yet.
// Whether the table's pages can be mapped is VFIO's to say once it has opened the function; here it
// is taken as so, which Linux 4.16 and later do.
#pragma once

#include <optional>

#include "devices/passthrough/msix_relocation.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// Nothing where sysfs hides capabilities, as it does without root, or does not tell BARs. Errors:
/// kConfig: as plan_msix().
Result<std::optional<MsixPlan>> preview_msix(const HostSystem& host, const HostPciDevice& device,
                                             const MsixRelocation& wanted,
                                             std::optional<unsigned> coherent_bar);

}  // namespace gpuvm
