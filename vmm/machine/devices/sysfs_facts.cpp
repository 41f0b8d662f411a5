// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/sysfs_facts.hpp"

#include "devices/pci/bar_set.hpp"
#include "devices/pci/pci_spec.hpp"
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

}  // namespace

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
  return facts;
}

FunctionFacts sysfs_facts(const HostSystem& host, const HostPciDevice& device,
                          bool has_function_reset) {
  auto shown = host.read_bytes(pci_sysfs_path(device.bdf(), "config"), pci::kConfigSize);
  auto bars = device.bars();
  return sysfs_facts({.config = shown ? std::move(shown).value() : std::vector<std::byte>(),
                      .bars = bars ? std::optional(std::move(bars).value()) : std::nullopt,
                      .ids = device.ids()},
                     has_function_reset);
}

}  // namespace gpuvm
