// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/card_link.hpp"

#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

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

std::uint32_t lanes_of(const std::string& text) {
  std::uint32_t lanes = 0;
  std::from_chars(text.data(), text.data() + text.size(), lanes);
  return lanes;
}

std::optional<HostPciDevice> card_of(const HostSystem& host, const HostPciDevice& function) {
  const auto parent = function.physical_function();
  auto physical = parent ? std::optional(HostPciDevice::open(host, *parent)) : std::nullopt;
  return physical && *physical ? std::optional(**physical) : std::nullopt;
}

CardLink card_link(const PcieLink& now, const std::optional<PcieLink>& best) {
  return {.now = now, .best = best.value_or(now).at_least(now)};
}

}  // namespace

std::optional<CardLink> card_link_of(const HostSystem& host, const HostPciDevice& function) {
  const auto physical = card_of(host, function);
  if (!physical) {
    return std::nullopt;
  }
  const auto shown = physical->link();
  const auto now = link_of(shown.speed, shown.width);
  return now ? std::optional(card_link(*now, link_of(shown.max_speed, shown.max_width)))
             : std::nullopt;
}

CardLinkReader::CardLinkReader(HeldAttribute speed, HeldAttribute width,
                               std::optional<PcieLink> best)
    : speed_(std::move(speed)), width_(std::move(width)), best_(best) {}

std::optional<CardLinkReader> CardLinkReader::open(const HostSystem& host,
                                                   const HostPciDevice& function) {
  const auto physical = card_of(host, function);
  if (!physical) {
    return std::nullopt;
  }
  auto speed = HeldAttribute::open(host, pci_sysfs_path(physical->bdf(), "current_link_speed"));
  auto width = HeldAttribute::open(host, pci_sysfs_path(physical->bdf(), "current_link_width"));
  if (!speed || !width) {
    return std::nullopt;
  }
  const auto shown = physical->link();
  return CardLinkReader(std::move(*speed), std::move(*width),
                        link_of(shown.max_speed, shown.max_width));
}

std::optional<CardLink> CardLinkReader::read() const {
  const auto speed = speed_.read();
  const auto width = width_.read();
  const auto now = speed && width ? link_of(*speed, lanes_of(*width)) : std::nullopt;
  return now ? std::optional(card_link(*now, best_)) : std::nullopt;
}

}  // namespace gpuvm::vfio
