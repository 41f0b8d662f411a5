// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/card_config.hpp"

#include "vmm/base/bytes.hpp"

namespace gpuvm::fake_gpu {

void put(std::span<std::byte> config, std::size_t offset, std::size_t width, std::uint64_t value) {
  store_le(config.subspan(offset, width), value);
}

void put_capabilities(std::span<std::byte> config, bool has_function_reset, std::uint8_t next) {
  put(config, 0x06, 2, 0x0010);
  put(config, 0x34, 1, kPowerOffset);
  put(config, kPowerOffset, 2, kMsiOffset << 8 | 0x01);
  put(config, kPowerOffset + 2, 2, 0x0003);
  put(config, kMsiOffset, 2, kExpressOffset << 8 | 0x05);
  put(config, kMsiOffset + 2, 2, 0x0080);  // one vector, 64 bits
  put(config, kExpressOffset, 2, std::uint64_t{next} << 8 | 0x10);
  put(config, kExpressOffset + 2, 2, 0x0002);
  put(config, kExpressOffset + 4, 4, 0x8000 | (has_function_reset ? 1U << 28 : 0U));
  put(config, kExpressOffset + 12, 4, kWideLink);
  put(config, kExpressOffset + 18, 2, kWideLink);
}

void put_common_masks(std::span<std::byte> masks) {
  put(masks, 0x04, 2, 0x0547);
  put(masks, 0x3c, 1, 0xff);
  put(masks, kPowerOffset + 4, 2, 0x0003);
  put(masks, kMsiOffset + 2, 2, 0x0001);
  put(masks, kMsiOffset + 4, 8, ~0ULL);
  put(masks, kMsiOffset + 12, 2, 0xffff);
  put(masks, kExpressOffset + 8, 2, 0x7fff);
  put(masks, kExpressOffset + 16, 2, 0x0fff);
}

bool starts_function_reset(std::uint64_t offset, std::span<const std::byte> in) {
  constexpr std::uint64_t kControlByte = kExpressOffset + 9;  // Device Control's upper byte
  constexpr std::byte kInitiate{0x80};
  return offset <= kControlByte && kControlByte - offset < in.size() &&
         (in[kControlByte - offset] & kInitiate) != std::byte{0};
}

void write_masked(std::span<std::byte> config, std::span<const std::byte> masks,
                  std::uint64_t offset, std::span<const std::byte> in) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    auto& byte = config[offset + i];
    const auto mask = masks[offset + i];
    byte = (byte & ~mask) | (in[i] & mask);
  }
}

}  // namespace gpuvm::fake_gpu
