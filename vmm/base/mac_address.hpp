// SPDX-License-Identifier: Apache-2.0
// MacAddress: the address of a network card, an EUI-48 (IEEE 802, 8.2).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gpuvm {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes = {};

  /// "52:54:00:12:34:56", hex digits of either case, ":" or "-" between; nothing for other texts.
  static std::optional<MacAddress> parse(std::string_view text);
  /// The same for the same name and number, on every host: locally administered, unicast. Of the
  /// bits 46 follow from them, so that two machines of one network hardly ever get the same.
  static MacAddress of_name(std::string_view name, std::size_t number);

  /// True for an address that a card can have: not a group's (8.2.2), not all zero.
  bool is_unicast() const { return (bytes[0] & 1) == 0 && *this != MacAddress{}; }
  /// As parse() reads it, in lower case.
  std::string to_string() const;
  auto operator<=>(const MacAddress&) const = default;
};

}  // namespace gpuvm
