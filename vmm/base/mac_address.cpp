// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/mac_address.hpp"

#include <fmt/ranges.h>

#include <charconv>

namespace gpuvm {
namespace {

/// FNV-1a of 64 bits (RFC 9923): never changes, as the addresses made of it must not.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) {
    value = (value ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  }
  return value;
}

}  // namespace

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  constexpr std::size_t kLength = 17;
  MacAddress address;
  if (text.size() != kLength) {
    return std::nullopt;
  }
  const char separator = text[2];
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    const char* const first = text.data() + i * 3;
    const auto [end, error] = std::from_chars(first, first + 2, address.bytes[i], 16);
    const bool ends_well = i + 1 == address.bytes.size() || first[2] == separator;
    if (error != std::errc{} || end != first + 2 || !ends_well) {
      return std::nullopt;
    }
  }
  return separator == ':' || separator == '-' ? std::optional(address) : std::nullopt;
}

MacAddress MacAddress::of_name(std::string_view name, std::size_t number) {
  constexpr std::uint8_t kLocal = 1 << 1;
  constexpr std::uint8_t kGroup = 1 << 0;
  std::uint64_t bits = hash(fmt::format("gpuvm/{}/net/{}", name, number));
  bits ^= bits >> 48;  // the upper bits count, too
  MacAddress address;
  for (auto& byte : address.bytes) {
    byte = static_cast<std::uint8_t>(bits);
    bits >>= 8;
  }
  address.bytes[0] = static_cast<std::uint8_t>((address.bytes[0] | kLocal) & ~kGroup);
  return address;
}

std::string MacAddress::to_string() const {
  return fmt::format("{:02x}", fmt::join(bytes, ":"));
}

}  // namespace gpuvm
