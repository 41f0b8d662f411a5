// SPDX-License-Identifier: Apache-2.0
// The link of a virtual function: its own registers read zero (Single Root I/O Virtualization 1.1,
// 3.5.6 to 3.5.8), so the physical function's is asked, which sysfs shows.
#pragma once

#include <optional>

#include "devices/physical/physical_device.hpp"
#include "vmm/host/held_attribute.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm::vfio {

/// As it is now, also of a host that was saved; nothing for functions that are not virtual, and
/// where sysfs does not say. Any thread.
std::optional<CardLink> card_link_of(const HostSystem& host, const HostPciDevice& function);

/// The same on files that stay open: guests read their link with threads that may not open any. Any
/// thread.
class CardLinkReader {
 public:
  /// Nothing for functions that are not virtual, and where sysfs does not say.
  static std::optional<CardLinkReader> open(const HostSystem& host, const HostPciDevice& function);

  /// As it is now; nothing where there is none, as of a card that sleeps.
  std::optional<CardLink> read() const;

 private:
  CardLinkReader(HeldAttribute speed, HeldAttribute width, std::optional<PcieLink> best);

  HeldAttribute speed_;
  HeldAttribute width_;
  std::optional<PcieLink> best_;
};

}  // namespace gpuvm::vfio
