// SPDX-License-Identifier: Apache-2.0
// FunctionFacts: see the header.
#include "devices/passthrough/function_facts.hpp"

#include <algorithm>
#include <bit>

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using FactsImage = std::span<const std::byte>;

/// No BAR is larger; keeps std::bit_ceil defined whatever the host says.
constexpr std::uint64_t kLargestBar = std::uint64_t{1} << 52;

std::uint16_t facts_capability(FactsImage config, pci::CapabilityId id) {
  return find_capability(config, static_cast<std::uint8_t>(id));
}

/// A 16-bit register of the PCI Express capability; 0 where there is none.
std::uint16_t express_register(FactsImage config, std::uint16_t offset) {
  const auto base = facts_capability(config, pci::CapabilityId::kPciExpress);
  if (base == 0 || base + offset + 2U > pci::kLegacyConfigSize) {
    return 0;
  }
  return load_at<std::uint16_t>(config, std::size_t{base} + offset).value_or(0);
}

/// As trained: Link Status (7.5.3.8).
PcieLink link_of(FactsImage config) {
  return PcieLink::decode(express_register(config, pci::kExpressLinkStatus)).value_or(PcieLink());
}

/// Link Capabilities (7.5.3.6).
PcieLink link_capability_of(FactsImage config) {
  return PcieLink::decode(express_register(config, pci::kExpressLinkCapabilities))
      .value_or(PcieLink())
      .at_least(link_of(config));
}

/// Device Control (7.5.3.4).
std::uint8_t max_payload_of(FactsImage config) {
  const unsigned code =
      (express_register(config, pci::kExpressDeviceControl) >> pci::kDeviceControlPayloadShift) & 7;
  return code <= 5 ? static_cast<std::uint8_t>(code) : std::uint8_t{0};
}

BarDescriptions bars_of_registers(FactsImage config, const std::array<RegionInfo, 6>& regions) {
  BarDescriptions bars;
  for (unsigned number = 0; number < bars.size(); ++number) {
    const auto hardware =
        load_at<std::uint32_t>(config, pci::kBar0 + std::size_t{number} * 4).value_or(0);
    bars.at(number) = describe_bar(hardware, regions.at(number).size);
    number += bars.at(number) && bars.at(number)->kind == BarKind::kMemory64 ? 1U : 0U;
  }
  return bars;
}

/// Nothing also where the host offers no vector (7.7.1).
std::optional<AnnouncedMsi> msi_of(const FunctionFacts& facts) {
  const auto offset = facts_capability(facts.config, pci::CapabilityId::kMsi);
  if (offset == 0 || facts.offers.msi_vectors == 0) {
    return std::nullopt;
  }
  return AnnouncedMsi{.offset = offset,
                      .control = load_at<std::uint16_t>(facts.config, offset + 2U).value_or(0),
                      .vectors = facts.offers.msi_vectors};
}

/// As the capability says (7.7.2); nothing without one, and for one that makes no sense.
std::optional<MsixLayout> announced_msix(FactsImage config) {
  const auto offset = facts_capability(config, pci::CapabilityId::kMsix);
  if (offset == 0 || std::uint32_t{offset} + pci::kMsixSize > pci::kLegacyConfigSize) {
    return std::nullopt;
  }
  return MsixLayout::parse(offset, load_at<std::uint16_t>(config, offset + 2U).value_or(0),
                           load_at<std::uint32_t>(config, offset + 4U).value_or(0),
                           load_at<std::uint32_t>(config, offset + 8U).value_or(0));
}

/// Nothing also where the table is not in the device's memory, or the host offers fewer vectors.
std::optional<MsixLayout> msix_of(const FunctionFacts& facts) {
  const auto layout = announced_msix(facts.config);
  if (!layout || facts.offers.msix_vectors < layout->vectors) {
    return std::nullopt;
  }
  const auto fits = [&facts](unsigned bar, std::uint64_t end) {
    const auto type = load_at<std::uint32_t>(facts.config, pci::kBar0 + bar * 4U).value_or(0);
    return (type & pci::kBarIo) == 0 && end <= facts.offers.regions.at(bar).size;
  };
  const bool is_in_memory =
      fits(layout->table_bar, layout->table_offset + layout->table_size()) &&
      fits(layout->pending_bar, layout->pending_offset + layout->pending_size());
  return is_in_memory || !facts.offers.is_complete ? layout : std::nullopt;
}

}  // namespace

std::optional<BarDescription> describe_bar(std::uint32_t hardware, std::uint64_t region_size) {
  if (region_size == 0 || region_size > kLargestBar) {
    return std::nullopt;
  }
  if ((hardware & pci::kBarIo) != 0) {
    return BarDescription{.kind = BarKind::kIo,
                          .size = std::bit_ceil(std::max(region_size, pci::kMinIoBar))};
  }
  const bool wide = (hardware & pci::kBarMemory64) != 0;
  return BarDescription{.kind = wide ? BarKind::kMemory64 : BarKind::kMemory32,
                        .size = std::bit_ceil(std::max(region_size, pci::kMinMemoryBar)),
                        .prefetchable = (hardware & pci::kBarPrefetchable) != 0};
}

FunctionFacts FunctionFacts::parse(std::vector<std::byte> config, FunctionOffers offers) {
  const FactsImage image(config);
  const auto pin = load_at<std::uint8_t>(image, pci::kInterruptPin).value_or(0);
  FunctionFacts facts{
      .config = {},
      .ids = {load_at<std::uint16_t>(image, pci::kVendorId).value_or(0),
              load_at<std::uint16_t>(image, pci::kDeviceId).value_or(0)},
      .class_code = load_at<std::uint32_t>(image, pci::kClassDword).value_or(0) >> 8,
      .interrupt_pin = pin >= 1 && pin <= 4 ? pin - 1U : 0U,
      .link = link_of(image),
      .link_capability = link_capability_of(image),
      .max_payload_code = max_payload_of(image),
      .bars = offers.bars ? *offers.bars : bars_of_registers(image, offers.regions),
      .offers = std::move(offers)};
  facts.config = std::move(config);
  facts.msi = msi_of(facts);
  facts.msix = msix_of(facts);
  return facts;
}

Result<FunctionFacts> FunctionFacts::read(PhysicalDevice& device) {
  auto config = TRY(read_physical_config(device));
  FunctionOffers offers{.rom_size = device.region(RegionIndex::kRom).size,
                        .intx_vectors = device.irq(IrqType::kIntx).count,
                        .msi_vectors = device.irq(IrqType::kMsi).count,
                        .msix_vectors = device.irq(IrqType::kMsix).count,
                        .has_function_reset = device.has_function_reset(),
                        .atomic_completers = device.atomic_completers()};
  for (unsigned bar = 0; bar < offers.regions.size(); ++bar) {
    offers.regions.at(bar) = device.region(bar_region(bar));
  }
  auto facts = parse(std::move(config), std::move(offers));
  if (const auto card = device.card_link()) {
    facts.take_link(*card);
  }
  return facts;
}

void FunctionFacts::take_link(const CardLink& card) {
  link = card.now;
  link_capability = link_capability.at_least(card.best);
}

}  // namespace gpuvm
