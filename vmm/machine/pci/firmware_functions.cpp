// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/firmware_functions.hpp"

#include "devices/pci/pci_spec.hpp"
#include "firmware/rom/option_rom.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kBars = 6;
constexpr std::size_t kRomMax = std::size_t{16} << 20;  // larger ones Linux's stub leaves out

/// struct pci_setup_rom after its struct setup_data.
struct SetupRom {
  std::uint16_t vendor;
  std::uint16_t device;
  std::uint32_t padding;
  std::uint64_t size;
  std::uint64_t segment;
  std::uint64_t bus;
  std::uint64_t slot;
  std::uint64_t function;
};
static_assert(sizeof(SetupRom) == 48);

/// The images one after another, without what pads the ROM BAR; nothing when there is none, or when
/// they are larger than a kernel takes.
std::span<const std::byte> images_of(std::span<const std::byte> rom) {
  const auto parsed = OptionRom::parse(rom);
  if (!parsed || parsed->begin() != 0 || parsed->end() > kRomMax) {
    return {};
  }
  return rom.first(parsed->end());
}

}  // namespace

std::vector<TreeBar> tree_bars(const BarSet& bars) {
  std::vector<TreeBar> out;
  for (unsigned i = 0; i < kBars; ++i) {
    const auto& bar = bars.description(i);
    if (bar && bars.address(i) != 0) {
      out.push_back({.index = static_cast<std::uint8_t>(i),
                     .io = bar->kind == BarKind::kIo,
                     .wide = bar->kind == BarKind::kMemory64,
                     .prefetchable = bar->prefetchable,
                     .base = bars.address(i),
                     .size = bar->size});
    }
  }
  return out;
}

FirmwareFunction describe_function(PciFunction& function, const BarSet& bars,
                                   std::span<const std::byte> rom) {
  FirmwareFunction out;
  const std::uint32_t ids = function.config_read(pci::kVendorId);
  out.tree.vendor = static_cast<std::uint16_t>(ids);
  out.tree.device = static_cast<std::uint16_t>(ids >> 16);
  out.tree.class_code = function.config_read(pci::kClassDword) >> 8;
  out.tree.bars = tree_bars(bars);
  const auto images = images_of(rom);
  out.rom.assign(images.begin(), images.end());
  return out;
}

std::vector<SetupData> rom_setup_data(std::span<const FirmwareFunction> functions) {
  std::vector<SetupData> nodes;
  for (const auto& function : functions) {
    if (function.rom.empty()) {
      continue;
    }
    SetupData node{.type = SETUP_PCI, .bytes = {}};
    append_bytes(node.bytes, SetupRom{.vendor = function.tree.vendor,
                                      .device = function.tree.device,
                                      .padding = 0,
                                      .size = function.rom.size(),
                                      .segment = 0,
                                      .bus = function.tree.bus,
                                      .slot = function.tree.devfn / 8U,
                                      .function = function.tree.devfn % 8U});
    node.bytes.insert(node.bytes.end(), function.rom.begin(), function.rom.end());
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace gpuvm
