// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/random.hpp"

#include <bit>
#include <cstring>

#include "firmware/efi/firmware.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
constexpr std::size_t kKeySize = 32;

void quarter_round(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c, std::uint32_t& d) {
  a += b, d = std::rotl(d ^ a, 16);
  c += d, b = std::rotl(b ^ c, 12);
  a += b, d = std::rotl(d ^ a, 8);
  c += d, b = std::rotl(b ^ c, 7);
}

EfiStatus GPUVM_EFIAPI get_info(RandomProtocol*, std::uint64_t* size, Guid*) {
  if (size == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  // None of the algorithms that the specification names.
  *size = 0;
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI get_random(RandomProtocol*, const Guid* algorithm, std::uint64_t size,
                                  std::uint8_t* value) {
  if (size == 0 || value == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  if (algorithm != nullptr) {
    return EfiStatus::kUnsupported;
  }
  if (!firmware().random.seeded()) {
    return EfiStatus::kNotReady;
  }
  firmware().random.fill(value, size);
  return EfiStatus::kSuccess;
}

}  // namespace

void chacha20_block(const std::uint32_t (&key)[8], std::uint32_t counter,
                    const std::uint32_t (&nonce)[3], std::uint8_t (&out)[64]) {
  std::uint32_t start[16];
  std::memcpy(start, kConstants, sizeof kConstants);
  std::memcpy(start + 4, key, sizeof key);
  start[12] = counter;
  std::memcpy(start + 13, nonce, sizeof nonce);
  std::uint32_t s[16];
  std::memcpy(s, start, sizeof s);
  for (int round = 0; round < 10; ++round) {
    for (unsigned i = 0; i < 4; ++i) {
      quarter_round(s[i], s[4 + i], s[8 + i], s[12 + i]);
    }
    for (unsigned i = 0; i < 4; ++i) {
      quarter_round(s[i], s[4 + (i + 1) % 4], s[8 + (i + 2) % 4], s[12 + (i + 3) % 4]);
    }
  }
  for (unsigned i = 0; i < 16; ++i) {
    s[i] += start[i];
  }
  std::memcpy(out, s, sizeof s);
}

void RandomSource::seed(std::uint8_t* bytes, std::size_t size) {
  for (std::size_t at = 0; at < size; at += kKeySize) {
    const std::size_t part = size - at < kKeySize ? size - at : kKeySize;
    std::uint8_t mixed[kKeySize] = {};
    std::memcpy(mixed, bytes + at, part);
    for (std::size_t i = 0; i < kKeySize; ++i) {
      reinterpret_cast<std::uint8_t*>(key_)[i] ^= mixed[i];
    }
    std::uint8_t block[64];
    chacha20_block(key_, 0, {}, block);
    std::memcpy(key_, block, sizeof key_);
  }
  seeded_ = size >= kKeySize;
  std::memset(bytes, 0, size);
}

/// The first half of each block is the next key, so that what was given out cannot be found again.
void RandomSource::fill(std::uint8_t* out, std::uint64_t size) {
  for (std::uint64_t at = 0; at < size; at += 64 - kKeySize) {
    std::uint8_t block[64];
    chacha20_block(key_, 0, {}, block);
    std::memcpy(key_, block, sizeof key_);
    const std::uint64_t part = size - at < 64 - kKeySize ? size - at : 64 - kKeySize;
    std::memcpy(out + at, block + kKeySize, part);
  }
}

RandomProtocol* RandomSource::protocol() {
  protocol_ = {.get_info = get_info, .get_random = get_random};
  return &protocol_;
}

}  // namespace gpuvm::efi
