// SPDX-License-Identifier: Apache-2.0
// The link of a virtual function: its own registers read zero (Single Root I/O Virtualization 1.1,
// 3.5.6 to 3.5.8), so the physical function's is asked, which sysfs shows.
#pragma once

#include <optional>
#include <utility>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/vfio/held_attribute.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm::vfio {

/// As it is now; nothing for other functions, and where sysfs does not say. Any thread.
std::optional<CardLink> card_link_of(const HostSystem& host, const Bdf& function);

/// The same for who asks again and again, and may open nothing by then.
class CardLinkFiles {
 public:
  /// Nothing for other functions, and where sysfs does not say.
  static std::optional<CardLinkFiles> open(const HostSystem& host, const Bdf& function);
  /// As card_link_of(). Any thread.
  std::optional<CardLink> read() const;

 private:
  CardLinkFiles(PciLink first, HeldAttribute speed, HeldAttribute width)
      : first_(std::move(first)), speed_(std::move(speed)), width_(std::move(width)) {}

  PciLink first_;  ///< as it was then; its best stays
  HeldAttribute speed_;
  HeldAttribute width_;
};

}  // namespace gpuvm::vfio
