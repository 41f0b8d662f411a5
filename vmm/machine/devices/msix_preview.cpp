// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/msix_preview.hpp"

#include "devices/passthrough/function_bars.hpp"
#include "devices/passthrough/function_capabilities.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

Result<std::optional<MsixPlan>> preview_msix(const HostSystem& host, const HostPciDevice& device,
                                             const MsixRelocation& wanted,
                                             std::optional<unsigned> coherent_bar) {
  const auto config =
      host.read_bytes(pci_sysfs_path(device.bdf(), "config"), pci::kLegacyConfigSize);
  const auto bars = device.bars();
  if (!config || config->size() < pci::kLegacyConfigSize || !bars) {
    return std::optional<MsixPlan>();
  }
  MsixSurroundings around{.layout = announced_msix(*config), .coherent_bar = coherent_bar};
  for (const auto& bar : *bars) {
    if (bar.index >= around.bars.size()) {
      continue;  // the expansion ROM
    }
    const auto hardware =
        load_at<std::uint32_t>(*config, pci::kBar0 + std::size_t{bar.index} * 4).value_or(0);
    around.bars.at(bar.index) = describe_bar(hardware, bar.size);
    around.regions.at(bar.index) = {.size = bar.size,
                                    .readable = true,
                                    .writable = true,
                                    .mappable = !bar.io && bar.size >= kPageSize,
                                    .msix_mappable = true,
                                    .sparse_areas = {}};
  }
  return std::optional(TRY(plan_msix(wanted, around)));
}

}  // namespace gpuvm
