// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/bar_places.hpp"

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::vfio {
namespace {

constexpr std::uint8_t kBars = 6;
constexpr std::uint32_t kIdeClass = 0x0101;
constexpr std::uint32_t kIoFlags = 0x3;
constexpr std::uint32_t kMemoryFlags = 0xf;
constexpr std::uint16_t kEnhancedAllocation = 0x14;

std::uint64_t register_of(std::span<const std::byte> config, const PciBar& bar) {
  const std::size_t at = pci::kBar0 + std::size_t{bar.index} * 4;
  const auto low = load_at<std::uint32_t>(config, at).value_or(pci::kAllOnes);
  if (bar.io) {
    return low & ~kIoFlags;
  }
  const std::uint64_t high =
      bar.wide ? load_at<std::uint32_t>(config, at + 4).value_or(pci::kAllOnes) : 0;
  return high << 32 | (low & ~kMemoryFlags);
}

bool has_enhanced_allocation(std::span<const std::byte> config) {
  for (const auto& capability : standard_capabilities(config)) {
    if (capability.id == kEnhancedAllocation) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<BarPlace> places_of(std::span<const std::byte> config, const std::vector<PciBar>& bars,
                                std::uint32_t class_code) {
  std::vector<BarPlace> places;
  for (const PciBar& bar : bars) {
    const bool is_fixed = bar.io && class_code >> 8 == kIdeClass;
    if (bar.index < kBars && bar.address != 0 && !is_fixed) {
      places.push_back(
          {.bar = bar.index, .host = bar.address, .hardware = register_of(config, bar)});
    }
  }
  return places;
}

Result<std::optional<std::vector<BarPlace>>> bar_places_of(const HostSystem& host,
                                                           const Bdf& function) {
  const auto device = TRY(HostPciDevice::open(host, function));
  const auto config =
      TRY(host.read_bytes(pci_sysfs_path(function, "config"), pci::kLegacyConfigSize));
  if (config.size() < pci::kHeaderSize) {
    return fail(ErrorKind::kHost, "{} shows {} bytes only: where the BARs of {} are is not known",
                host.path(pci_sysfs_path(function, "config")), config.size(), function.to_string());
  }
  if (device.physical_function() || has_enhanced_allocation(config)) {
    return std::optional<std::vector<BarPlace>>();
  }
  return std::optional(places_of(config, TRY(device.bars()), device.ids().class_code));
}

}  // namespace gpuvm::vfio
