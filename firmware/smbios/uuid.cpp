// SPDX-License-Identifier: Apache-2.0
#include "firmware/smbios/uuid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace gpuvm {
namespace {

using Words = std::array<std::uint32_t, 5>;
constexpr std::size_t kBlock = 64;

/// Made once at random; must never change, or all guests change their identity.
constexpr std::array<std::uint8_t, 16> kMachineNameSpace{
    0x5f, 0x2f, 0x1b, 0x93, 0xf6, 0x0d, 0x47, 0x19, 0xa1, 0xf6, 0xa0, 0xd0, 0xd0, 0xb7, 0x3b, 0x22};

std::uint32_t load_be(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (const std::byte byte : bytes.first(4)) {
    value = value << 8 | std::to_integer<std::uint32_t>(byte);
  }
  return value;
}

/// f(t) and K(t) of RFC 3174, 5.
std::uint32_t mix(std::size_t step, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  switch (step / 20) {
    case 0:
      return ((b & c) | (~b & d)) + 0x5a827999U;
    case 1:
      return (b ^ c ^ d) + 0x6ed9eba1U;
    case 2:
      return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcU;
    default:
      return (b ^ c ^ d) + 0xca62c1d6U;
  }
}

void process_block(Words& hash, std::span<const std::byte> block) {
  std::array<std::uint32_t, 80> schedule{};
  for (std::size_t i = 0; i < 16; ++i) {
    schedule[i] = load_be(block.subspan(4 * i));
  }
  for (std::size_t i = 16; i < schedule.size(); ++i) {
    schedule[i] =
        std::rotl(schedule[i - 3] ^ schedule[i - 8] ^ schedule[i - 14] ^ schedule[i - 16], 1);
  }
  auto [a, b, c, d, e] = hash;
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    const std::uint32_t next = std::rotl(a, 5) + mix(i, b, c, d) + e + schedule[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  const Words sum{a, b, c, d, e};
  std::transform(hash.begin(), hash.end(), sum.begin(), hash.begin(), std::plus<>());
}

}  // namespace

std::string Uuid::to_string() const {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text += '-';
    }
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return text;
}

Sha1Digest sha1(std::span<const std::byte> message) {
  // Padding (RFC 3174, 4): a one bit, zeroes, the length in bits as 64 bits.
  std::vector<std::byte> padded(message.begin(), message.end());
  padded.push_back(std::byte{0x80});
  while (padded.size() % kBlock != kBlock - 8) {
    padded.push_back(std::byte{0});
  }
  const std::uint64_t bits = std::uint64_t{message.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) {
    padded.push_back(static_cast<std::byte>((bits >> shift) & 0xff));
  }
  Words hash{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (std::size_t at = 0; at < padded.size(); at += kBlock) {
    process_block(hash, std::span(padded).subspan(at, kBlock));
  }
  Sha1Digest digest{};
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::byte>((hash[i / 4] >> (24 - 8 * (i % 4))) & 0xff);
  }
  return digest;
}

Uuid name_based_uuid(const Uuid& name_space, std::string_view name) {
  std::vector<std::byte> message(name_space.bytes.begin(), name_space.bytes.end());
  const auto text = std::as_bytes(std::span(name));
  message.insert(message.end(), text.begin(), text.end());
  const Sha1Digest digest = sha1(message);
  Uuid uuid;
  std::copy_n(digest.begin(), uuid.bytes.size(), uuid.bytes.begin());
  uuid.bytes[6] = (uuid.bytes[6] & std::byte{0x0f}) | std::byte{0x50};  // version 5
  uuid.bytes[8] = (uuid.bytes[8] & std::byte{0x3f}) | std::byte{0x80};  // variant (4.1)
  return uuid;
}

Uuid machine_uuid(std::string_view machine_name) {
  Uuid name_space;
  std::transform(kMachineNameSpace.begin(), kMachineNameSpace.end(), name_space.bytes.begin(),
                 [](std::uint8_t value) { return std::byte{value}; });
  return name_based_uuid(name_space, machine_name);
}

}  // namespace gpuvm
