// SPDX-License-Identifier: Apache-2.0
// PciFunction: one function's configuration space (PCI Express Base 6.0, 7.2: 4 KiB), accessed as
// aligned dwords with byte enables, as on the bus.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "devices/pci/pcie_link.hpp"

namespace gpuvm {

/// Called from any vCPU thread, several at once: implementations synchronise themselves. A slow
/// write of one function must not hold a lock that others need.
class PciFunction {
 public:
  virtual ~PciFunction() = default;
  virtual std::string_view name() const = 0;
  /// offset: multiple of 4, below 4096.
  virtual std::uint32_t config_read(std::uint16_t offset) = 0;
  /// mask: 0xff in each byte lane that is written, 0 elsewhere; value is only meaningful under the
  /// mask.
  virtual void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) = 0;
  /// What the hardware's link has trained to, now; nothing: nobody knows, or it does not answer.
  virtual std::optional<PcieLink> trained_link() { return std::nullopt; }
};

/// Receives what a bridge does to the bus behind it.
class SecondaryBusListener {
 public:
  virtual ~SecondaryBusListener() = default;
  /// Bridge Control bit 6 rises (PCI Express Base 6.0, 7.5.1.3.13). Called from the vCPU thread
  /// that wrote it.
  virtual void secondary_bus_reset() = 0;
};

}  // namespace gpuvm
