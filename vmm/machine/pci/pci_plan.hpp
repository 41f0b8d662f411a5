// SPDX-License-Identifier: Apache-2.0
// The guest's PCI Express hierarchy on paper, before any device exists: which root ports and buses
// there are and what is behind them; where the address space lies (the layout's apertures, the
// 64-bit one above RAM) and which BAR has which address in it. A start and its preview follow it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/pci/pci_windows.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/machine/pci/root_bus_slots.hpp"

namespace gpuvm {

/// A root port and what is behind it.
struct PlannedPort {
  std::uint8_t number = 0;             ///< of the configuration, below kRootPorts
  std::uint8_t bus = 0;                ///< behind it, at power-on
  std::vector<std::size_t> functions;  ///< in slot order, as indices into the list

  bool shares_device = false;  ///< other ports have its device number on bus 0
  bool is_free = false;        ///< nothing is behind it, and a card may come: a hot-plug slot

  /// Its device number on bus 0. Ports below kFirstSharedPort have one each, from 1 on; the others
  /// are eight to a device, from kSharedDevice on.
  std::uint8_t device() const {
    return static_cast<std::uint8_t>(
        number < kFirstSharedPort ? number + 1U : kSharedDevice + (number - kFirstSharedPort) / 8U);
  }
  /// Its function number on bus 0.
  std::uint8_t function() const {
    return static_cast<std::uint8_t>(number < kFirstSharedPort ? 0U
                                                               : (number - kFirstSharedPort) % 8U);
  }
  std::uint8_t devfn() const { return static_cast<std::uint8_t>(device() << 3 | function()); }
  /// The number of its slot.
  std::uint16_t slot() const { return static_cast<std::uint16_t>(number + 1U); }
  /// The guest finds others in the slot of this function, which is behind the port.
  bool is_multi_function(const HostFunction& function) const {
    return function.function == 0 && functions.size() > 1;
  }
  /// "root port 0", for messages.
  std::string name() const;
};

/// One root port for each port number in use, ascending; port 0 is always there, and so is the one
/// that is function 0 of a device which another one is a function of: nobody finds that without.
/// Beside them `free_ports` hot-plug slots, at the lowest numbers behind which nothing is; fewer
/// where there are no numbers left.
std::vector<PlannedPort> plan_ports(const FunctionPointers& functions, unsigned free_ports = 0);

/// What a card that comes later may need below 4 GiB: GPUs have register BARs of up to 32 MiB
/// there.
constexpr std::uint64_t kReservedMemory32 = std::uint64_t{64} << 20;

/// Address space of a free port, as if the BARs of a card were there. `memory64`: a power of two.
std::vector<BarRequest> reservation_of(std::uint64_t memory64);

/// Buses 0 to this minus one exist: the root bus and one behind each port. No more, because Linux
/// looks for devices on each bus that the MCFG table names, 32 trapped accesses a bus.
unsigned bus_count(std::span<const PlannedPort> ports);

/// Gives BARs their power-on addresses: those of the placement from `next` on, as append_requests()
/// asked for them; `next` goes on behind them. Errors: kInternal.
Status place_set(BarSet& bars, const PortPlacement& placement, std::size_t& next);

struct PciPlan {
  GuestRange aperture64;
  std::vector<PortPlacement> placements;  ///< of the requests, in their order
};

/// `free`: address space above all RAM, ascending, from which the 64-bit BARs take the uppermost
/// part that has room; see free_above_memory(). Errors: kConfig (a BAR does not fit).
Result<PciPlan> plan_pci(std::span<const GuestRange> free, std::span<const PortRequest> ports);

/// As above, with the 64-bit BARs where the devices reach each other's through the host's IOMMU, if
/// there is room: it maps `dma_ranges` only (empty: nobody knows).
Result<PciPlan> plan_pci(std::span<const GuestRange> free, std::span<const IovaRange> dma_ranges,
                         std::span<const PortRequest> ports);

/// ECAM and windows as a device tree has them; no functions.
TreePci tree_without_functions(const GuestRange& aperture64, unsigned buses);

}  // namespace gpuvm
