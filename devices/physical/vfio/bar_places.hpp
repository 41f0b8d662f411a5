// SPDX-License-Identifier: Apache-2.0
// Where a function's BARs are by the host's kernel, which has noted their addresses once and uses
// them for every mapping (sysfs "resource"), and by the hardware's own registers (sysfs "config",
// whose reads go to the hardware). VFIO shows neither: it makes BAR registers up of what a guest
// wrote and of the sizes (Linux, drivers/vfio/pci/vfio_pci_config.c, vfio_bar_fixup()). Missing:
// host bridges that translate addresses, which no x86-64 host is known to have; the ROM's register.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host/held_attribute.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm::vfio {

/// Of one function of the host, on files that stay open: resets are also made by threads that may
/// not open any. Any thread.
class BarPlaceReader {
 public:
  /// Errors: kHost, kConfig.
  static Result<BarPlaceReader> open(const HostSystem& host, const HostPciDevice& function);
  /// Of a function that is no virtual one, on files that another process has opened. Errors: kHost.
  static Result<BarPlaceReader> adopt(const Bdf& bdf, UniqueFd config, UniqueFd resource);

  /// As PhysicalDevice::bar_places(). Nothing for a virtual function, whose BAR registers read zero
  /// (Single Root I/O Virtualization 1.1, 3.4.1.11), and for one whose addresses are in its
  /// Enhanced Allocation capability (PCI Express Base 6.0, 7.8.5). Errors: kHost.
  Result<std::optional<std::vector<BarPlace>>> read() const;
  /// Its files, for adopt().
  const HeldAttribute& config() const { return config_; }
  const HeldAttribute& resource() const { return resource_; }

 private:
  BarPlaceReader(const HostPciDevice& function, HeldAttribute config, HeldAttribute resource);
  BarPlaceReader(const Bdf& bdf, std::uint32_t class_code, HeldAttribute config,
                 HeldAttribute resource);

  Bdf bdf_;
  std::uint32_t class_code_;
  bool is_virtual_;
  HeldAttribute config_;
  HeldAttribute resource_;
};

/// What a header of 64 bytes or more says of the places of the host's BARs. `class_code`: of 24
/// bits. Left out: the ROM, BARs to which the host gave no address, and the ports of an IDE
/// controller, which may be fixed without a register (PCI IDE Controller 1.0).
std::vector<BarPlace> places_of(std::span<const std::byte> config, const std::vector<PciBar>& bars,
                                std::uint32_t class_code);

}  // namespace gpuvm::vfio
