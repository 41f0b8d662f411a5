// SPDX-License-Identifier: Apache-2.0
// HostMap: the PCI functions of a host by IOMMU group: what each is, who has it, and whether a
// guest could; for each GPU the [[pci]] entries that bring it to a guest with what must come along.
// Gathered once; what is printed of it is made of this alone (map_text.hpp, map_json.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host_map/pci_names.hpp"

namespace gpuvm {

/// More than any host has; a saved one that has more is refused.
constexpr std::size_t kMostMapFunctions = 4096;

/// A [[pci]] entry as it would be written.
struct SlotEntry {
  Bdf host = {};
  std::vector<std::uint8_t> functions = {};  ///< empty: all of the slot
  std::vector<Bdf> takes = {};               ///< what that is
};

/// What would come of passing a function to a guest.
struct Outlook {
  std::vector<SlotEntry> entries = {};  ///< its slot, then what shares its group; empty: not judged
  std::vector<std::string> obstacles = {};  ///< what stops it, sentences with the cure
  std::vector<std::string> remarks = {};    ///< what the user should know, sentences
  std::string reset = {};                   ///< how gpuvm would reset it; empty: not known

  bool can_be_passed() const { return !entries.empty() && obstacles.empty(); }
};

struct MapFunction {
  Bdf address = {};
  PciIds ids = {};
  std::uint8_t revision = 0;
  std::string class_name = {};   ///< "VGA compatible controller"
  std::string device_name = {};  ///< "NVIDIA Corporation GP104 [GeForce GTX 1080]"
  std::optional<std::string> driver = {};
  std::string owner = {};  ///< the guest, or verb of gpuvm, that has it; empty: none
  std::string dirty = {};  ///< why gpuvm holds it for unfit; empty: it does not
  std::vector<std::string> kernel_resets = {};  ///< the kernel's reset methods
  std::optional<std::vector<PciBar>> bars = {};
  std::optional<std::uint32_t> numa_node = {};
  PciLink link = {};
  std::string power_state = {};
  bool is_boot_display = false;
  std::optional<std::uint32_t> group = {};
  std::optional<Bdf> physical_function = {};
  Outlook outlook = {};

  /// Display controllers and processing accelerators.
  bool is_gpu() const;
  /// Bridges, AMD's security processor and other parts of processor and chipset, which no guest
  /// gets.
  bool stays_with_host() const;
};

struct MapGroup {
  std::optional<std::uint32_t> number = {};  ///< nothing: functions without a group
  std::vector<std::size_t> functions = {};   ///< indices, ascending; never empty
};

struct HostMap {
  bool has_iommu = false;
  bool has_names = false;  ///< a list of names was there
  bool has_segments =
      false;  ///< not all addresses are of segment 0, so that all are written in full
  std::vector<MapFunction> functions = {};  ///< by address
  std::vector<MapGroup> groups = {};        ///< by number; without a group last
  std::vector<std::string> remarks = {};    ///< of whoever saved the host

  const MapFunction* find(const Bdf& address) const;
  /// "01:00.0", as lspci writes it, or with its segment.
  std::string short_address(const Bdf& address) const;
};

/// Whether it is a GPU that has no option ROM and that a screen was thought of with: those of
/// servers have no ROM, no I/O BAR, and drivers that ask for neither (slot_outlook.cpp).
bool lacks_rom(const MapFunction& function);

/// Reads alone; a function that sleeps is woken by it. `names`: of the list of PCI ids. Errors:
/// kHost where sysfs does not tell of a function; kConfig for a saved host with too many.
Result<HostMap> gather_host_map(const HostSystem& host, const PciNames& names);

/// What would come of passing a set of functions together.
struct SetOutlook {
  struct Reset {
    std::string method;
    std::string note;  ///< why there is none, or empty
  };
  std::vector<std::string> obstacles = {};
  std::vector<std::string> remarks = {};
  std::map<std::string, Reset> resets = {};  ///< by the function's address
};
/// By what is taken.
using SetOutlooks = std::map<std::vector<Bdf>, SetOutlook>;

/// What would come of passing functions[index] of the map (slot_outlook.cpp). `map` has everything
/// but outlooks; `known`: what was found of the same host before.
Outlook look_at_function(const HostSystem& host, const HostMap& map, std::size_t index,
                         SetOutlooks& known);

}  // namespace gpuvm
