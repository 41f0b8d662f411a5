// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/bdf.hpp"

#include <fmt/format.h>

#include <charconv>

namespace gpuvm {
namespace {

/// Takes exactly `digits` hexadecimal digits off the front of text.
std::optional<unsigned> take_hex(std::string_view& text, std::size_t digits) {
  unsigned value = 0;
  if (text.size() < digits) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, 16);
  if (error != std::errc{} || end != text.data() + digits) {
    return std::nullopt;
  }
  text.remove_prefix(digits);
  return value;
}

bool take_char(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<Bdf> Bdf::parse(std::string_view text) {
  Bdf bdf;
  if (text.size() == 12) {
    const auto segment = take_hex(text, 4);
    if (!segment || !take_char(text, ':')) {
      return std::nullopt;
    }
    bdf.segment = static_cast<std::uint16_t>(*segment);
  }
  const auto bus = take_hex(text, 2);
  if (!bus || !take_char(text, ':')) {
    return std::nullopt;
  }
  const auto device = take_hex(text, 2);
  if (!device || *device > 31 || !take_char(text, '.')) {
    return std::nullopt;
  }
  const auto function = take_hex(text, 1);
  if (!function || *function > 7 || !text.empty()) {
    return std::nullopt;
  }
  bdf.bus = static_cast<std::uint8_t>(*bus);
  bdf.device = static_cast<std::uint8_t>(*device);
  bdf.function = static_cast<std::uint8_t>(*function);
  return bdf;
}

std::string Bdf::to_string() const {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", segment, bus, device, function);
}

}  // namespace gpuvm
