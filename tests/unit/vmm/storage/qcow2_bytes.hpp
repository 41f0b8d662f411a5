// SPDX-License-Identifier: Apache-2.0
// The beginning of a qcow2 image as QEMU's documentation has it, with every field to be spoilt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gpuvm::test {

struct Qcow2Bytes {
  std::uint32_t version = 3;
  std::uint64_t size = 1 << 20;
  std::uint32_t encryption = 0;
  std::uint64_t incompatible = 0;
  std::uint32_t header_length = 104;
  std::string backing = {};
  std::string backing_format = {};  ///< empty: not said

  std::vector<std::byte> bytes() const {
    std::vector<std::byte> out(4096);
    put(out, 0, 4, 0x514649fb);
    put(out, 4, 4, version);
    put(out, 20, 4, 16);
    put(out, 24, 8, size);
    put(out, 32, 4, encryption);
    put(out, 72, 8, incompatible);
    put(out, 96, 4, 4);
    put(out, 100, 4, header_length);
    std::size_t at = version == 2 ? 72 : 104;
    if (!backing_format.empty()) {
      put(out, at, 4, 0xe2792aca);
      put(out, at + 4, 4, backing_format.size());
      put(out, at + 8, backing_format);
      at += 8 + (backing_format.size() + 7) / 8 * 8;
    }
    if (!backing.empty()) {
      put(out, 8, 8, at + 8);
      put(out, 16, 4, backing.size());
      put(out, at + 8, backing);
    }
    return out;
  }
  static void put(std::vector<std::byte>& out, std::size_t at, std::size_t size,
                  std::uint64_t value) {
    for (std::size_t i = 0; i < size; ++i) {
      out[at + i] = static_cast<std::byte>(value >> 8 * (size - 1 - i));
    }
  }
  static void put(std::vector<std::byte>& out, std::size_t at, const std::string& text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      out[at + i] = static_cast<std::byte>(text[i]);
    }
  }
};

}  // namespace gpuvm::test
