// SPDX-License-Identifier: Apache-2.0
// PciTopology: which function answers a configuration request. Bus 0 holds the host bridge, root
// ports and other functions; what is behind a root port is found by the bus numbers that the port
// holds at that moment (PCI Express Base 6.0, 7.3.3). Nothing there: reads are all ones, writes are
// dropped (7.2.1, "Unsupported Request").
// Missing: segments other than 0, switches and bridges behind a root port.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "devices/pci/pci_function.hpp"
#include "devices/pci/root_port.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/published.hpp"

namespace gpuvm {

/// A function's address on the guest's segment 0.
struct PciAddress {
  std::uint8_t bus = 0;
  std::uint8_t devfn = 0;
};

/// Any thread may call any method, while vCPUs run too. Accesses take no lock.
class PciTopology : public Inspectable {
 public:
  /// Puts a function on bus 0; it must outlive this or be removed. Errors: kInternal when the place
  /// is taken.
  Status add(std::uint8_t devfn, PciFunction& function);
  /// Puts a root port on bus 0 at its own devfn.
  Status add_root_port(RootPort& port);
  /// Takes the function, or the root port with what is behind it, away. When this has returned
  /// success, it is not called through the topology any more and no call is in flight: it may take
  /// as long as an access does, a reset too. No lock held that the function takes. Errors:
  /// kInternal if nothing is there, and inside of an access; nothing is changed then.
  Status remove(std::uint8_t devfn);

  /// A read of 1 to 8 bytes at any offset, all inside the function's 4 KiB; byte exact. All ones
  /// where nothing answers.
  void read(PciAddress address, std::uint16_t offset, std::span<std::byte> out) const;
  /// As read(): each dword touched is written once, with the byte lanes that the access covers.
  void write(PciAddress address, std::uint16_t offset, std::span<const std::byte> in) const;

  /// Device numbers in use on bus 0, ascending: the slots that need interrupt routing.
  std::vector<std::uint8_t> root_devices() const;
  void inspect(InspectNode& node) const override;

 private:
  struct Table {
    std::array<PciFunction*, 256> root_bus{};
    std::vector<RootPort*> ports;  ///< also in root_bus
  };
  static Status insert(Table& table, std::uint8_t devfn, PciFunction& function);
  template <class Use>
  void visit(PciAddress address, Use&& use) const;

  Published<Table> table_;
};

}  // namespace gpuvm
