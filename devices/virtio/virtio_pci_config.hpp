// SPDX-License-Identifier: Apache-2.0
// VirtioPciConfig: the configuration space of a virtio function: identity (VIRTIO 1.2, 4.1.2), one
// BAR, MSI-X, and the capabilities that say where the virtio structures are (4.1.4).
// Missing: a PCI Express capability, power management, and so function level reset: the function is
// a conventional one.
#pragma once

#include <optional>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/config_space.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "devices/virtio/virtio_pci_spec.hpp"

namespace gpuvm {

/// Not synchronised: its owner holds a lock. MSI-X's control word is the interrupts' to know.
class VirtioPciConfig {
 public:
  /// `multi_function`: the device has other functions. Errors: kInternal (too many queues).
  static Result<VirtioPciConfig> create(const VirtioDevice::Identity& identity,
                                        bool multi_function = false);

  BarSet& bars() { return bars_; }
  const BarSet& bars() const { return bars_; }
  const MsixLayout& msix() const { return msix_; }
  std::uint16_t command() const {
    return static_cast<std::uint16_t>(space_.read(pci::kCommand, 2));
  }

  std::uint32_t read(std::uint16_t offset) const;
  void write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);

  /// The dword by which a driver reaches the BAR through configuration space (4.1.4.9).
  bool is_access_data(std::uint16_t offset) const {
    return offset / 4 == (access_ + virtio::kCapConfigData) / 4;
  }
  struct Access {
    std::uint64_t offset = 0;  ///< in the BAR
    std::size_t size = 0;      ///< 1, 2 or 4
  };
  /// What the driver has set up there; nothing when it is not a proper access.
  std::optional<Access> access() const;

  /// Back to power-on state; the BAR's power-on address survives.
  void reset();

 private:
  VirtioPciConfig() = default;
  Status add_msix(std::uint16_t vectors);
  Result<std::uint16_t> add_structure(virtio::StructureType type, std::uint16_t size,
                                      std::uint64_t offset, std::uint64_t length);
  Status add_structures(const VirtioDevice::Identity& identity);

  ConfigSpace space_;
  BarSet bars_;
  MsixLayout msix_;
  std::uint16_t access_ = 0;  ///< offset of the capability of 4.1.4.9
};

}  // namespace gpuvm
