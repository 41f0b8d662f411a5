// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report/names.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "devices/passthrough/capability_policy.hpp"

namespace gpuvm {

std::string region_name(RegionIndex index) {
  switch (index) {
    case RegionIndex::kRom:
      return "rom";
    case RegionIndex::kConfig:
      return "config";
    case RegionIndex::kVga:
      return "vga";
    default:
      break;
  }
  const auto number = static_cast<std::uint32_t>(index);
  return index <= RegionIndex::kBar5 ? fmt::format("bar{}", number)
                                     : fmt::format("region{}", number);
}

std::string_view bar_kind_name(const PciBar& bar) {
  return bar.io ? "io" : bar.wide ? "memory64" : "memory32";
}

std::string capability_text(bool is_extended, std::uint16_t id, std::uint16_t offset) {
  const auto& policy = is_extended ? extended_policy(id) : standard_policy(id);
  return fmt::format("{} ({}{:02x}) at {:#x}", policy.name, is_extended ? "extended " : "", id,
                     offset);
}

std::uint64_t TrialRecord::failures() const {
  return static_cast<std::uint64_t>(
      std::count_if(cycles.begin(), cycles.end(), [](const CycleRecord& cycle) {
        return std::any_of(cycle.resets.begin(), cycle.resets.end(),
                           [](const ResetRecord& reset) { return !reset.is_safe; }) ||
               std::any_of(cycle.witnesses.begin(), cycle.witnesses.end(),
                           [](const WitnessRecord& witness) { return !witness.is_cleared; });
      }));
}

}  // namespace gpuvm
