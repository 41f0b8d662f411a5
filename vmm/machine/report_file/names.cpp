// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/names.hpp"

#include <fmt/format.h>

#include <algorithm>

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
