// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/function_capabilities.hpp"

#include <algorithm>

#include "devices/passthrough/function_bars.hpp"
#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr auto kMsiId = static_cast<std::uint8_t>(pci::CapabilityId::kMsi);
constexpr auto kMsixId = static_cast<std::uint8_t>(pci::CapabilityId::kMsix);

}  // namespace

std::optional<MsiCapability> find_msi(PhysicalDevice& device, std::span<const std::byte> config) {
  const auto offset = find_capability(config, kMsiId);
  const auto count = device.irq(IrqType::kMsi).count;
  if (offset == 0 || count == 0) {
    return std::nullopt;
  }
  return MsiCapability(offset, load_at<std::uint16_t>(config, offset + 2U).value_or(0), count);
}

std::optional<MsixLayout> announced_msix(std::span<const std::byte> config) {
  const auto offset = find_capability(config, kMsixId);
  if (offset == 0 || std::uint32_t{offset} + pci::kMsixSize > pci::kLegacyConfigSize) {
    return std::nullopt;
  }
  return MsixLayout::parse(offset, load_at<std::uint16_t>(config, offset + 2U).value_or(0),
                           load_at<std::uint32_t>(config, offset + 4U).value_or(0),
                           load_at<std::uint32_t>(config, offset + 8U).value_or(0));
}

std::optional<MsixLayout> find_msix(PhysicalDevice& device, std::span<const std::byte> config) {
  const auto layout = announced_msix(config);
  if (!layout || device.irq(IrqType::kMsix).count < layout->vectors) {
    return std::nullopt;
  }
  const auto fits = [&](unsigned bar, std::uint64_t end) {
    const auto type = load_at<std::uint32_t>(config, pci::kBar0 + bar * 4U).value_or(0);
    return (type & pci::kBarIo) == 0 && end <= device.region(bar_region(bar)).size;
  };
  const bool ok = fits(layout->table_bar, layout->table_offset + layout->table_size()) &&
                  fits(layout->pending_bar, layout->pending_offset + layout->pending_size());
  return ok ? layout : std::nullopt;
}

MsixSurroundings msix_surroundings(PhysicalDevice& device, std::span<const std::byte> config,
                                   std::optional<unsigned> coherent_bar) {
  MsixSurroundings around{.layout = find_msix(device, config),
                          .bars = describe_bars(config, device),
                          .coherent_bar = coherent_bar};
  for (unsigned bar = 0; bar < around.regions.size(); ++bar) {
    around.regions.at(bar) = device.region(bar_region(bar));
  }
  return around;
}

}  // namespace gpuvm
