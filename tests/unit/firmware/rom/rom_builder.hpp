// SPDX-License-Identifier: Apache-2.0
// Makes option ROMs for tests, image by image (PCI Firmware Specification 3.3, 5.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/bytes.hpp"

namespace gpuvm::test {

struct RomImageSpec {
  std::uint16_t vendor = 0x10de;
  std::uint16_t device = 0x1b80;
  std::uint8_t code_type = 0;
  bool last = true;
  std::uint16_t units = 4;  ///< of 512 bytes
  std::vector<std::uint16_t> devices = {};
};

/// One image: data structure at 0x40, contents that depend on the position, right checksum.
inline std::vector<std::byte> rom_image(const RomImageSpec& spec) {
  std::vector<std::byte> image(std::size_t{spec.units} * 512);
  for (std::size_t i = 0x80; i < image.size(); ++i) {
    image[i] = static_cast<std::byte>(i * 7 + i / 256);
  }
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    store_le(std::span(image).subspan(at, size), value);
  };
  put(0, 0xaa55, 2);
  put(2, spec.units & 0xffU, 1);
  put(0x18, 0x40, 2);
  if (spec.code_type == 3) {
    put(2, spec.units, 2);
    put(4, 0x0ef1, 4);
    put(8, 11, 2);
    put(0xa, 0x8664, 2);
    put(0xc, 1, 2);
    put(0x16, 0x80, 2);
  }
  put(0x40, 0x52494350, 4);
  put(0x44, spec.vendor, 2);
  put(0x46, spec.device, 2);
  put(0x4a, 0x1c, 2);
  put(0x4c, 3, 1);
  put(0x4d, 0x030000, 3);
  put(0x50, spec.units, 2);
  put(0x54, spec.code_type, 1);
  put(0x55, spec.last ? 0x80 : 0, 1);
  if (!spec.devices.empty()) {
    put(0x48, 0x20, 2);
    for (std::size_t i = 0; i < spec.devices.size(); ++i) {
      put(0x60 + i * 2, spec.devices[i], 2);
    }
    put(0x60 + spec.devices.size() * 2, 0, 2);
  }
  unsigned sum = 0;
  for (const auto byte : image) {
    sum += std::to_integer<unsigned>(byte);
  }
  put(image.size() - 1, std::to_integer<unsigned>(image.back()) - sum, 1);
  return image;
}

inline std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace gpuvm::test
