// SPDX-License-Identifier: Apache-2.0
// Where the guest finds a function's MSI-X table and pending bits (PCI Express Base 6.0, 7.7.2.3
// and 7.7.2.4). The hardware's table must exit, and so must all registers in its pages; the guest
// can be shown the structures somewhere else, in a BAR of their own or behind another BAR's
// contents, and reach those registers directly. The hardware's table is then in the guest's reach,
// which the host allows because its interrupts are remapped. As QEMU's x-msix-relocation. Pure
// policy. Missing: a resizable BAR that is doubled still announces the hardware's size.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/base/inspect.hpp"

namespace gpuvm {

/// What the configuration asks for.
struct MsixRelocation {
  enum class Mode { kOff, kAuto, kBar };
  Mode mode = Mode::kOff;
  unsigned bar = 0;  ///< of kBar, 0 to 5
  bool operator==(const MsixRelocation&) const = default;
};

/// BARs of a function by their number; nothing for no BAR, and for the upper half of a 64-bit one.
using BarDescriptions = std::array<std::optional<BarDescription>, 6>;

/// What the decision depends on.
struct MsixSurroundings {
  std::optional<MsixLayout> layout = {};  ///< the hardware's; nothing: no MSI-X that can be used
  BarDescriptions bars = {};
  std::array<RegionInfo, 6> regions = {};
  std::optional<unsigned> coherent_bar = {};  ///< no BAR for the guest
};

/// The BAR that takes the structures, as the guest sees it.
struct MsixHome {
  unsigned bar = 0;
  BarDescription description = {};
  bool is_new = false;  ///< the hardware has no such BAR; else it is larger than the hardware's
};

/// The decision.
struct MsixPlan {
  std::optional<MsixLayout> hardware = {};
  std::optional<MsixLayout> shown = {};  ///< to the guest
  std::optional<MsixHome> home = {};     ///< nothing: the structures stay where they are
  std::string reason = {};
  std::string effect = {};

  /// Where the structures are, where the guest sees them, and why.
  void inspect(InspectNode& node) const;
};

/// "BAR 0 at 0x1000".
std::string place_of_table(const MsixLayout& layout);

/// Errors: kConfig: the BAR that is asked for cannot take the structures, the function has no
/// MSI-X, or the host keeps the table's pages to itself. "auto" has no errors, but reasons.
Result<MsixPlan> plan_msix(const MsixRelocation& wanted, const MsixSurroundings& around);

}  // namespace gpuvm
