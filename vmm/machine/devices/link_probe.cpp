// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/link_probe.hpp"

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"

namespace gpuvm {
namespace {

/// The dword at an offset of the PCI Express capability; 0 where there is none.
std::uint32_t express_dword(const ConfigDwordReader& read, std::uint16_t offset) {
  std::uint16_t base = 0;
  const Status walked = for_each_capability(read, [&base](const CapabilityHeader& capability) {
    const bool is_it = capability.id == static_cast<std::uint16_t>(pci::CapabilityId::kPciExpress);
    base = is_it ? capability.offset : base;
    return !is_it;
  });
  if (!walked || base == 0) {
    return 0;
  }
  const auto dword = read(static_cast<std::uint16_t>(base + offset));
  return dword ? *dword : 0;
}

bool valid_width(unsigned width) {
  return width == 1 || width == 2 || width == 4 || width == 8 || width == 12 || width == 16 ||
         width == 32;
}

/// Link Status is the upper half of the dword of Link Control.
PcieLink link_of(const ConfigDwordReader& read) {
  const auto status = express_dword(read, pci::kExpressLinkControl) >> 16;
  const unsigned speed = status & pci::kLinkSpeedMask;
  const unsigned width = status >> pci::kLinkWidthShift & pci::kLinkWidthMask;
  PcieLink link;
  if (speed >= 1 && speed <= pci::kMaxLinkSpeed && valid_width(width)) {
    link.speed = static_cast<std::uint8_t>(speed);
    link.width = static_cast<std::uint8_t>(width);
  }
  return link;
}

std::uint8_t max_payload_of(const ConfigDwordReader& read) {
  const unsigned code =
      express_dword(read, pci::kExpressDeviceControl) >> pci::kDeviceControlPayloadShift &
      pci::kDeviceControlPayloadMask;
  return code <= pci::kMaxPayloadCode ? static_cast<std::uint8_t>(code) : std::uint8_t{0};
}

unsigned pin_of(const ConfigDwordReader& read) {
  constexpr unsigned kPinShift = 8 * (pci::kInterruptPin - pci::kInterruptLine);
  constexpr unsigned kMostPins = 4;  // INTA# to INTD#
  const auto dword = read(pci::kInterruptLine);
  const unsigned pin = dword ? *dword >> kPinShift & 0xff : 0U;
  return pin >= 1 && pin <= kMostPins ? pin - 1 : 0U;
}

}  // namespace

PcieLink probe_link(std::span<const std::byte> config) {
  return link_of(config_dword_reader(config));
}

PcieLink probe_link(PhysicalDevice& device) {
  return link_of(config_dword_reader(device));
}

std::uint8_t probe_max_payload(std::span<const std::byte> config) {
  return max_payload_of(config_dword_reader(config));
}

std::uint8_t probe_max_payload(PhysicalDevice& device) {
  return max_payload_of(config_dword_reader(device));
}

unsigned interrupt_pin_of(std::span<const std::byte> config) {
  return pin_of(config_dword_reader(config));
}

unsigned interrupt_pin_of(PhysicalDevice& device) {
  return pin_of(config_dword_reader(device));
}

}  // namespace gpuvm
