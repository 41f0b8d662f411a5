// SPDX-License-Identifier: Apache-2.0
// KernelBytes: a small kernel file with an EFI stub that is none; every field can be made wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace gpuvm {

/// A bzImage of 2 setup sectors and 8 KiB of code, with a PE header at 0x80 and one section.
class KernelBytes {
 public:
  KernelBytes() : bytes_(0x600 + kCode) {
    put<std::uint8_t>(0x1f1, 2);
    put<std::uint32_t>(0x1f4, kCode / 16);
    put<std::uint16_t>(0x1fe, 0xaa55);
    put<std::uint8_t>(0x201, 0x6a);
    put<std::uint32_t>(0x202, 0x53726448);
    put<std::uint16_t>(0x206, 0x020f);
    put<std::uint8_t>(0x211, 1);
    put<std::uint32_t>(0x230, 0x200000);
    put<std::uint16_t>(0x236, 0x0f);  // 64-bit, relocatable above 4 GiB, handover 32 and 64
    put<std::uint32_t>(0x238, 2047);
    put<std::uint64_t>(0x258, 0x1000000);
    put<std::uint32_t>(0x260, 0x10000);
    put<std::uint32_t>(0x264, 0x400);
    put<std::uint16_t>(0, 0x5a4d);
    put<std::uint32_t>(0x3c, 0x80);
    put<std::uint32_t>(0x80, 0x4550);
    put<std::uint16_t>(0x84, 0x8664);
    put<std::uint16_t>(0x86, 1);
    put<std::uint16_t>(0x94, 0xa0);
    put<std::uint16_t>(0x98, 0x20b);
    put<std::uint32_t>(0xa8, 0x1234);           // entry
    put<std::uint32_t>(0x98 + 56, 0x8000);      // SizeOfImage
    put<std::uint32_t>(0x98 + 60, 0x200);       // SizeOfHeaders
    put<std::uint16_t>(0x98 + 68, 10);          // an EFI application
    put<std::uint32_t>(kSection + 8, 0x2000);   // VirtualSize
    put<std::uint32_t>(kSection + 12, 0x1000);  // VirtualAddress
    put<std::uint32_t>(kSection + 16, 0x1000);  // SizeOfRawData
    put<std::uint32_t>(kSection + 20, 0x600);   // PointerToRawData
    bytes_[0x600] = std::byte{0x77};
  }
  template <class T>
  void put(std::size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  void no_handover() { put<std::uint16_t>(0x236, 0x03); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  void write_to(const std::string& path) const {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes_.data()),
               static_cast<std::streamsize>(bytes_.size()));
  }

  static constexpr std::uint32_t kCode = 0x2000;
  static constexpr std::size_t kSection = 0x98 + 0xa0;

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace gpuvm
