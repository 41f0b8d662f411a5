// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/sysfs_facts.hpp"

#include <bit>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/physical/vfio/card_link.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

// The most that the capabilities can announce (7.7.1.2, 7.7.2.2).
constexpr std::uint32_t kMostMsi = 32;
constexpr std::uint32_t kMostMsix = 2048;

BarDescription description_of(const PciBar& bar) {
  return {.kind = bar.io     ? BarKind::kIo
                  : bar.wide ? BarKind::kMemory64
                             : BarKind::kMemory32,
          .size = bar.size,
          .prefetchable = bar.prefetchable && !bar.io};
}

RegionInfo region_of(const PciBar& bar) {
  return {.size = bar.size,
          .readable = true,
          .writable = true,
          .mappable = !bar.io && bar.size >= kPageSize,
          .msix_mappable = true,
          .sparse_areas = {}};
}

/// The size's code in the Resizable BAR capability (7.8.6.3), as it will be.
void show_size(std::vector<std::byte>& config, const BarResize& resize) {
  constexpr unsigned kFirstBit = 20;  // code 0: 1 MiB
  const auto code = static_cast<std::uint32_t>(std::bit_width(resize.to)) - 1 - kFirstBit;
  constexpr std::uint32_t kMask = std::uint32_t{pci::kResizableSizeMask}
                                  << pci::kResizableSizeShift;
  for (const auto& capability : extended_capabilities(config)) {
    if (capability.id != static_cast<std::uint16_t>(pci::ExtendedCapabilityId::kResizableBar)) {
      continue;
    }
    for (unsigned i = 0; i < pci::kMaxResizableBars; ++i) {
      const auto at = static_cast<std::uint16_t>(capability.offset + pci::kResizableControl +
                                                 i * pci::kResizableEntrySize);
      const auto control = config_dword(config, at);
      if (at + 4U <= config.size() && (control & 7) == resize.bar) {
        store_le(std::span(config).subspan(at, 4),
                 (control & ~kMask) | (code << pci::kResizableSizeShift & kMask));
        return;
      }
    }
  }
}

}  // namespace

std::vector<std::byte> sysfs_config(const HostSystem& host, const HostPciDevice& device) {
  auto shown = host.read_bytes(pci_sysfs_path(device.bdf(), "config"), pci::kConfigSize);
  auto config = shown ? std::move(shown).value() : std::vector<std::byte>();
  // Single Root I/O Virtualization 1.1, 3.4.1.1 and 3.4.1.2.
  if (device.physical_function() && config.size() >= pci::kHeaderSize) {
    store_le(std::span(config).subspan(pci::kVendorId, 2), device.ids().vendor);
    store_le(std::span(config).subspan(pci::kDeviceId, 2), device.ids().device);
  }
  return config;
}

FunctionFacts sysfs_facts(SysfsAnswers answers, bool has_function_reset) {
  const auto& bars = answers.bars;
  const bool has_pin = load_at<std::uint8_t>(answers.config, pci::kInterruptPin).value_or(0) != 0;
  FunctionOffers offers{.bars = BarDescriptions(),
                        .intx_vectors = has_pin ? 1U : 0U,
                        .msi_vectors = kMostMsi,
                        .msix_vectors = kMostMsix,
                        .has_function_reset = has_function_reset,
                        .is_complete = answers.config.size() >= pci::kLegacyConfigSize && bars};
  for (const auto& bar : bars ? *bars : std::vector<PciBar>()) {
    if (bar.index == BarSet::kRom) {
      offers.rom_size = bar.size;
    } else if (bar.index < offers.regions.size()) {
      offers.bars->at(bar.index) = description_of(bar);
      offers.regions.at(bar.index) = region_of(bar);
    }
  }
  auto facts = FunctionFacts::parse(std::move(answers.config), std::move(offers));
  facts.ids = {answers.ids.vendor, answers.ids.device};
  facts.class_code = answers.ids.class_code;
  if (answers.card) {
    facts.take_link(*answers.card);
  }
  return facts;
}

FunctionFacts sysfs_facts(const HostSystem& host, const HostPciDevice& device,
                          bool has_function_reset) {
  auto bars = device.bars();
  return sysfs_facts({.config = sysfs_config(host, device),
                      .bars = bars ? std::optional(std::move(bars).value()) : std::nullopt,
                      .ids = device.ids(),
                      .card = vfio::card_link_of(host, device)},
                     has_function_reset);
}

Status take_bar_size(FunctionFacts& facts, const HostSystem& host, const Bdf& bdf,
                     const std::optional<BarSizeChoice>& choice) {
  if (!choice) {
    return {};
  }
  const auto resize = TRY(plan_bar_resize(host, bdf, *choice));
  auto& description = facts.bars.at(resize.bar);
  if (description) {
    description->size = resize.to;
  }
  facts.offers.regions.at(resize.bar).size = resize.to;
  show_size(facts.config, resize);
  return {};
}

}  // namespace gpuvm
