// SPDX-License-Identifier: Apache-2.0
// What the configuration space of a physical function says of interrupts when the guest starts:
// those that the function can raise (PCI Express Base 6.0, 7.7.1 and 7.7.2) as far as the
// host can deliver them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/msi.hpp"
#include "devices/passthrough/msix_relocation.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// Nothing also where the host offers no vector.
std::optional<MsiCapability> find_msi(PhysicalDevice& device, std::span<const std::byte> config);

/// As the capability says; nothing without one, and for one that makes no sense.
std::optional<MsixLayout> announced_msix(std::span<const std::byte> config);

/// Nothing also where the table is not in the device's memory or the host offers fewer vectors.
std::optional<MsixLayout> find_msix(PhysicalDevice& device, std::span<const std::byte> config);

/// What decides where the guest sees the table; `coherent_bar`: no BAR for the guest.
MsixSurroundings msix_surroundings(PhysicalDevice& device, std::span<const std::byte> config,
                                   std::optional<unsigned> coherent_bar);

}  // namespace gpuvm
