// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/firmware_functions.hpp"

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kBars = 6;
constexpr std::uint16_t kClassDword = 0x08;
constexpr std::size_t kRomMax = std::size_t{16} << 20;  // larger ones Linux's stub leaves out
// PCI Firmware Specification 3.3, 5.1.1: an image starts with 0x55, 0xaa.
constexpr std::byte kRomSignature[2] = {std::byte{0x55}, std::byte{0xaa}};

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

// PCI Firmware Specification 3.3, 5.1.2: the data structure that 0x18 of an image points to.
constexpr std::size_t kDataPointer = 0x18;
constexpr std::uint32_t kDataSignature = 0x52494350;  // "PCIR"
constexpr std::size_t kImageLength = 0x10;            // in units of 512 bytes
constexpr std::size_t kIndicator = 0x15;              // bit 7: the last image
constexpr std::size_t kLengthUnit = 512;

/// The images one after another, without what pads the ROM BAR; nothing when there is none, or when
/// they are larger than a kernel takes.
std::span<const std::byte> images_of(std::span<const std::byte> rom) {
  std::size_t end = 0;
  for (bool last = false; !last;) {
    const auto image = rom.subspan(end);
    const auto pointer = load_at<std::uint16_t>(image, kDataPointer);
    if (!pointer || image[0] != kRomSignature[0] || image[1] != kRomSignature[1] ||
        load_at<std::uint32_t>(image, *pointer) != kDataSignature) {
      break;
    }
    const auto length = load_at<std::uint16_t>(image, *pointer + kImageLength);
    const auto indicator = load_at<std::uint8_t>(image, *pointer + kIndicator);
    if (!length || !indicator || *length == 0 || *length * kLengthUnit > image.size()) {
      break;
    }
    end += *length * kLengthUnit;
    last = (*indicator & 0x80) != 0;
  }
  return end <= kRomMax ? rom.first(end) : std::span<const std::byte>();
}

}  // namespace

FirmwareFunction describe_function(PciFunction& function, const BarSet& bars,
                                   std::span<const std::byte> rom) {
  FirmwareFunction out;
  const std::uint32_t ids = function.config_read(0);
  out.tree.vendor = static_cast<std::uint16_t>(ids);
  out.tree.device = static_cast<std::uint16_t>(ids >> 16);
  out.tree.class_code = function.config_read(kClassDword) >> 8;
  for (unsigned i = 0; i < kBars; ++i) {
    const auto& bar = bars.description(i);
    if (bar) {
      out.tree.bars.push_back({.index = static_cast<std::uint8_t>(i),
                               .io = bar->kind == BarKind::kIo,
                               .wide = bar->kind == BarKind::kMemory64,
                               .prefetchable = bar->prefetchable,
                               .base = bars.address(i),
                               .size = bar->size});
    }
  }
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
