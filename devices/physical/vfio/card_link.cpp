// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/card_link.hpp"

#include <array>
#include <string_view>

#include "vmm/host/pci_device.hpp"

namespace gpuvm::vfio {
namespace {

/// As Linux writes them (drivers/pci/probe.c, pci_speed_string()); index 0 is code 1.
constexpr std::array<std::string_view, 6> kSpeeds = {"2.5 GT/s",  "5.0 GT/s",  "8.0 GT/s",
                                                     "16.0 GT/s", "32.0 GT/s", "64.0 GT/s"};

std::optional<PcieLink> link_of(std::string_view speed, std::uint32_t width) {
  for (std::size_t i = 0; i < kSpeeds.size(); ++i) {
    if (speed.starts_with(kSpeeds.at(i))) {
      const PcieLink link{.speed = static_cast<std::uint8_t>(i + 1),
                          .width = static_cast<std::uint8_t>(width)};
      return link.is_valid() ? std::optional(link) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<CardLink> card_link_of(const HostSystem& host, const Bdf& function) {
  const auto device = HostPciDevice::open(host, function);
  const auto parent = device ? device->physical_function() : std::nullopt;
  const auto physical = parent ? std::optional(HostPciDevice::open(host, *parent)) : std::nullopt;
  if (!physical || !*physical) {
    return std::nullopt;
  }
  const auto shown = (*physical)->link();
  const auto now = link_of(shown.speed, shown.width);
  if (!now) {
    return std::nullopt;
  }
  return CardLink{.now = *now,
                  .best = link_of(shown.max_speed, shown.max_width).value_or(*now).at_least(*now)};
}

}  // namespace gpuvm::vfio
