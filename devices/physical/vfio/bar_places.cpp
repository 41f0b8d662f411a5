// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/bar_places.hpp"

#include <utility>

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

BarPlaceReader::BarPlaceReader(const HostPciDevice& function, HeldAttribute config,
                               HeldAttribute resource)
    : bdf_(function.bdf()),
      class_code_(function.ids().class_code),
      is_virtual_(function.physical_function().has_value()),
      config_(std::move(config)),
      resource_(std::move(resource)) {}

BarPlaceReader::BarPlaceReader(const Bdf& bdf, std::uint32_t class_code, HeldAttribute config,
                               HeldAttribute resource)
    : bdf_(bdf),
      class_code_(class_code),
      is_virtual_(false),
      config_(std::move(config)),
      resource_(std::move(resource)) {}

Result<BarPlaceReader> BarPlaceReader::adopt(const Bdf& bdf, UniqueFd config, UniqueFd resource) {
  auto held = HeldAttribute::adopt("config of " + bdf.to_string(), std::move(config));
  const auto header = TRY(held.read_bytes(pci::kHeaderSize));
  const auto revision = load_at<std::uint32_t>(header, pci::kClassDword);
  if (!revision) {
    return fail(ErrorKind::kHost, "The {} has no header of a function", held.path());
  }
  auto places = HeldAttribute::adopt("resource of " + bdf.to_string(), std::move(resource));
  return BarPlaceReader(bdf, *revision >> 8, std::move(held), std::move(places));
}

Result<BarPlaceReader> BarPlaceReader::open(const HostSystem& host, const HostPciDevice& function) {
  const Bdf& bdf = function.bdf();
  auto config = TRY(HeldAttribute::open(host, pci_sysfs_path(bdf, "config")));
  auto resource = TRY(HeldAttribute::open(host, pci_sysfs_path(bdf, "resource")));
  return BarPlaceReader(function, std::move(config), std::move(resource));
}

Result<std::optional<std::vector<BarPlace>>> BarPlaceReader::read() const {
  const auto config = TRY(config_.read_bytes(pci::kLegacyConfigSize));
  if (config.size() < pci::kHeaderSize) {
    return fail(ErrorKind::kHost, "{} shows {} bytes only: where the BARs of {} are is not known",
                config_.path(), config.size(), bdf_.to_string());
  }
  if (is_virtual_ || has_enhanced_allocation(config)) {
    return std::optional<std::vector<BarPlace>>();
  }
  const auto bars = TRY(parse_resources(TRY(resource_.read()), resource_.path()));
  return std::optional(places_of(config, bars, class_code_));
}

}  // namespace gpuvm::vfio
