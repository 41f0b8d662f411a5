// SPDX-License-Identifier: Apache-2.0
// Ecam: memory-mapped configuration space (PCI Express Base 6.0, 7.2.2): bus << 20 | device << 15 |
// function << 12 | register. Accesses of 1, 2, 4 and 8 bytes, aligned or not, as long as they stay
// in one function; the specification only asks for those inside a dword.
#pragma once

#include <atomic>
#include <vector>

#include "devices/pci/pci_topology.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

class Ecam : public IoHandler, public Inspectable {
 public:
  /// buses: 1 to 256, of which the first is bus 0. The topology must outlive this.
  Ecam(const PciTopology& topology, unsigned buses)
      : topology_(topology), buses_(buses), on_bus_(buses) {}

  /// Bytes of address space to register: 1 MiB for each bus.
  std::uint64_t size() const { return std::uint64_t{buses_} * pci::kEcamBytesPerBus; }

  std::string_view name() const override { return "ecam"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// Counts of trapped accesses, each of which is an exit: in all, and by bus, which is by card.
  void inspect(InspectNode& node) const override;

 private:
  IoStatus check(std::uint64_t offset, std::size_t size) const;
  /// Of an offset that check() has let pass.
  void count(PciAddress address) { on_bus_[address.bus].fetch_add(1, std::memory_order_relaxed); }
  const PciTopology& topology_;
  const unsigned buses_;
  std::atomic<std::uint64_t> reads_{0};
  std::atomic<std::uint64_t> writes_{0};
  std::vector<std::atomic<std::uint64_t>> on_bus_;  ///< reads and writes
};

}  // namespace gpuvm
