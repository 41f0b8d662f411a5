// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/card_link.hpp"

#include <array>
#include <charconv>
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

/// 0: no link, or none that sysfs shows as it should.
std::uint32_t lanes_of(std::string_view text) {
  std::uint8_t lanes = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, lanes);
  return error == std::errc{} && stop == end ? lanes : 0;
}

/// Of a virtual function alone.
std::optional<HostPciDevice> physical_function_of(const HostSystem& host, const Bdf& function) {
  const auto device = HostPciDevice::open(host, function);
  const auto parent = device ? device->physical_function() : std::nullopt;
  auto physical = parent ? std::optional(HostPciDevice::open(host, *parent)) : std::nullopt;
  return physical && *physical ? std::optional(std::move(*physical).value()) : std::nullopt;
}

std::optional<CardLink> card_link_from(const PciLink& shown) {
  const auto now = link_of(shown.speed, shown.width);
  if (!now) {
    return std::nullopt;
  }
  return CardLink{.now = *now,
                  .best = link_of(shown.max_speed, shown.max_width).value_or(*now).at_least(*now)};
}

}  // namespace

std::optional<CardLink> card_link_of(const HostSystem& host, const Bdf& function) {
  const auto physical = physical_function_of(host, function);
  return physical ? card_link_from(physical->link()) : std::nullopt;
}

std::optional<CardLinkFiles> CardLinkFiles::open(const HostSystem& host, const Bdf& function) {
  const auto physical = physical_function_of(host, function);
  if (!physical) {
    return std::nullopt;
  }
  const Bdf& card = physical->bdf();
  auto speed = HeldAttribute::open(host, pci_sysfs_path(card, "current_link_speed"));
  auto width = HeldAttribute::open(host, pci_sysfs_path(card, "current_link_width"));
  if (!speed || !width) {
    return std::nullopt;
  }
  return CardLinkFiles(physical->link(), std::move(speed).value(), std::move(width).value());
}

std::optional<CardLink> CardLinkFiles::read() const {
  const auto speed = speed_.read();
  const auto width = width_.read();
  if (!speed || !width) {
    return std::nullopt;
  }
  PciLink shown = first_;
  shown.speed = *speed;
  shown.width = lanes_of(*width);
  return card_link_from(shown);
}

}  // namespace gpuvm::vfio
