// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/link_probe.hpp"

#include <array>

#include "devices/passthrough/config_patch.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using ConfigHeader = std::array<std::byte, 256>;

ConfigHeader read_header(PhysicalDevice& device) {
  ConfigHeader header{};
  for (std::size_t offset = 0; offset < header.size(); offset += 4) {
    if (!device.read(RegionIndex::kConfig, offset, std::span(header).subspan(offset, 4))) {
      return {};
    }
  }
  return header;
}

/// A 16-bit register of the PCI Express capability; 0 where there is none.
std::uint16_t express_register(PhysicalDevice& device, std::uint16_t offset) {
  const auto header = read_header(device);
  const std::uint16_t base = find_capability(header, 0x10);
  return base == 0 ? std::uint16_t{0}
                   : load_at<std::uint16_t>(header, std::size_t{base} + offset).value_or(0);
}

bool valid_width(unsigned width) {
  return width == 1 || width == 2 || width == 4 || width == 8 || width == 12 || width == 16 ||
         width == 32;
}

}  // namespace

PcieLink probe_link(PhysicalDevice& device) {
  const std::uint16_t status = express_register(device, 0x12);  // 7.5.3.8
  const unsigned speed = status & 0xf;
  const unsigned width = (status >> 4) & 0x3f;
  PcieLink link;
  if (speed >= 1 && speed <= 6 && valid_width(width)) {
    link.speed = static_cast<std::uint8_t>(speed);
    link.width = static_cast<std::uint8_t>(width);
  }
  return link;
}

std::uint8_t probe_max_payload(PhysicalDevice& device) {
  const unsigned code =
      (express_register(device, 0x08) >> pci::kDeviceControlPayloadShift) & 7;  // 7.5.3.4
  return code <= 5 ? static_cast<std::uint8_t>(code) : std::uint8_t{0};
}

unsigned interrupt_pin_of(PhysicalDevice& device) {
  const auto pin = load_at<std::uint8_t>(read_header(device), 0x3d).value_or(0);
  return pin >= 1 && pin <= 4 ? pin - 1U : 0U;
}

}  // namespace gpuvm
