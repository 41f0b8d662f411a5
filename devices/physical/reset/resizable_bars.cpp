// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/resizable_bars.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"

namespace gpuvm {
namespace {

/// 0: there is none.
Result<std::uint64_t> find_resizable_bars(PhysicalDevice& device) {
  std::uint64_t found = 0;
  TRY(for_each_extended_capability(
      config_dword_reader(device), [&found](const CapabilityHeader& capability) {
        const bool is_it =
            capability.id == static_cast<std::uint16_t>(pci::ExtendedCapabilityId::kResizableBar);
        found = is_it ? capability.offset : found;
        return !is_it;
      }));
  return found;
}

}  // namespace

Result<std::uint64_t> read_bar_size_codes(PhysicalDevice& device) {
  if (device.region(RegionIndex::kConfig).size < pci::kConfigSize) {
    return std::uint64_t{0};
  }
  const auto capability = TRY(find_resizable_bars(device));
  const std::uint64_t first = capability + pci::kResizableControl;
  if (capability == 0 || first + 4 > pci::kConfigSize) {
    return std::uint64_t{0};
  }
  const auto control = TRY(read_config<std::uint32_t>(device, first));
  const unsigned entries = std::min<unsigned>(
      control >> pci::kResizableCountShift & pci::kResizableCountMask, pci::kMaxResizableBars);
  std::uint64_t codes = 0;
  for (unsigned i = 0; i < entries; ++i) {
    const std::uint64_t at = first + i * std::uint64_t{pci::kResizableEntrySize};
    if (at + 4 <= pci::kConfigSize) {
      const auto entry = TRY(read_config<std::uint32_t>(device, at));
      codes |= std::uint64_t{entry >> pci::kResizableSizeShift & pci::kResizableSizeMask} << 8 * i;
    }
  }
  return codes;
}

}  // namespace gpuvm
