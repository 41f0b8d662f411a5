// SPDX-License-Identifier: Apache-2.0
// PcieLink: speed and width of a PCI Express link, as both of its ends show them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace gpuvm {

/// What a link trains to, as the registers code it.
struct PcieLink {
  std::uint8_t speed = 1;  ///< 1: 2.5 GT/s, 2: 5, 3: 8, 4: 16, 5: 32, 6: 64 (7.5.3.18)
  std::uint8_t width = 1;  ///< lanes: 1, 2, 4, 8, 12, 16 or 32

  /// From the low bits of Link Capabilities or Link Status (PCI Express Base 6.0, 7.5.3.6 and
  /// 7.5.3.8); nothing for what is no link, such as 0 and all ones.
  static constexpr std::optional<PcieLink> decode(std::uint32_t value) {
    const PcieLink link{.speed = static_cast<std::uint8_t>(value & 0xf),
                        .width = static_cast<std::uint8_t>(value >> 4 & 0x3f)};
    return link.is_valid() ? std::optional(link) : std::nullopt;
  }
  /// The reverse.
  constexpr std::uint32_t bits() const { return speed | std::uint32_t{width} << 4; }
  constexpr bool is_valid() const {
    constexpr std::array<std::uint8_t, 7> kWidths = {1, 2, 4, 8, 12, 16, 32};
    return speed >= 1 && speed <= 6 &&
           std::find(kWidths.begin(), kWidths.end(), width) != kWidths.end();
  }
  /// The faster speed and the larger width of both.
  constexpr PcieLink at_least(const PcieLink& other) const {
    return {.speed = std::max(speed, other.speed), .width = std::max(width, other.width)};
  }
  /// The slower speed and the smaller width of both.
  constexpr PcieLink at_most(const PcieLink& other) const {
    return {.speed = std::min(speed, other.speed), .width = std::min(width, other.width)};
  }
  bool operator==(const PcieLink&) const = default;
};

}  // namespace gpuvm
