// SPDX-License-Identifier: Apache-2.0
// CardPattern: which cards of a host will do, by what their functions say of themselves (PCI Local
// Bus 3.0, 6.2.1: vendor, device and class). What pci.match is made of. Missing: subsystem ids, and
// a revision.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gpuvm {

struct CardPattern {
  bool any_gpu = false;                          ///< all that the table of slots calls a GPU
  std::optional<std::uint16_t> vendor = {};      ///< then any device of it, or this one
  std::optional<std::uint16_t> device = {};      ///< only with vendor
  std::optional<std::uint32_t> class_code = {};  ///< 24 bits, of which class_digits count
  unsigned class_digits = 0;  ///< hexadecimal ones, from the highest: 2, 4 or 6; 0 without a class
  bool operator==(const CardPattern&) const = default;

  /// "10de:2204", "10de:*", "class:03", "class:0302", "class:030200" or "any-gpu", digits in either
  /// case. Nothing for other text.
  static std::optional<CardPattern> parse(std::string_view text);
  /// As parse() takes it.
  std::string to_string() const;
  /// `its_class`: 24 bits.
  bool matches(std::uint16_t its_vendor, std::uint16_t its_device, std::uint32_t its_class) const;
};

}  // namespace gpuvm
