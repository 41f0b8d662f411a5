// SPDX-License-Identifier: Apache-2.0
// Bdf: the address of a PCI function, "0000:01:00.0" (segment:bus:device.function, hexadecimal) as
// Linux writes it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gpuvm {

struct Bdf {
  std::uint16_t segment = 0;
  std::uint8_t bus = 0;
  std::uint8_t device = 0;    ///< 0 to 31
  std::uint8_t function = 0;  ///< 0 to 7

  /// Accepts "ssss:bb:dd.f" and, as lspci does, "bb:dd.f" (segment 0).
  static std::optional<Bdf> parse(std::string_view text);
  std::string to_string() const;
  constexpr std::uint8_t devfn() const { return static_cast<std::uint8_t>(device << 3 | function); }
  constexpr bool same_slot(const Bdf& other) const {
    return segment == other.segment && bus == other.bus && device == other.device;
  }
  constexpr auto operator<=>(const Bdf&) const = default;  // NOLINT(modernize-use-nullptr)
};

}  // namespace gpuvm
