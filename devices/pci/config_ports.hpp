// SPDX-License-Identifier: Apache-2.0
// ConfigPorts: configuration mechanism 1, I/O ports 0xcf8 to 0xcff (PCI Local Bus 3.0, 3.2.2.3.2).
// CONFIG_ADDRESS is only a register when accessed as a full dword; smaller accesses in its place
// are ordinary I/O, of which the byte 0xcf9 belongs to the chipset's reset register. Missing: AMD's
// extended register number in bits 27:24 (the ECAM reaches those registers).
#pragma once

#include <atomic>

#include "devices/pci/pci_topology.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

class ConfigPorts : public IoHandler, public Resettable, public Inspectable {
 public:
  static constexpr std::uint16_t kPort = pci::kConfigAddressPort;
  static constexpr std::uint16_t kPortCount = 8;

  /// reset_port answers the byte port 0xcf9 as its offset 0; nullptr: nothing does. Both must
  /// outlive this.
  ConfigPorts(const PciTopology& topology, IoHandler* reset_port)
      : topology_(topology), reset_port_(reset_port) {}

  std::string_view name() const override { return "pci-config-ports"; }
  /// Offset 0 is port 0xcf8.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// CONFIG_ADDRESS becomes 0. Nothing survives.
  void reset() override { address_ = 0; }
  void inspect(InspectNode& node) const override;

 private:
  static bool is_reset_port(std::uint64_t offset, std::size_t size);
  static bool is_address(std::uint64_t offset, std::size_t size);
  static bool is_data(std::uint64_t offset, std::size_t size);

  const PciTopology& topology_;
  IoHandler* const reset_port_;
  /// CONFIG_ADDRESS. vCPUs share it unsynchronised, as on hardware: guests hold a lock around the
  /// pair of accesses.
  std::atomic<std::uint32_t> address_{0};
  std::atomic<std::uint64_t> accesses_{0};
};

}  // namespace gpuvm
