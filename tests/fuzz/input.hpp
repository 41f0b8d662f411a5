// SPDX-License-Identifier: Apache-2.0
// Input: a fuzzer's bytes, taken from the front, for targets whose input is a sequence of what a
// guest does. Past the end there are zeroes, so that every input means something.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "vmm/base/result.hpp"

namespace gpuvm::fuzz {

/// Ends the process where something does not hold that must.
inline void must(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}
inline void must(const Status& done, const char* what) {
  must(done.has_value(), what);
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }
  /// Little-endian; count: 1 to 8.
  std::uint64_t take(std::size_t count) {
    std::uint64_t value = 0;
    const auto there = std::min(count, bytes_.size());
    for (std::size_t i = 0; i < there; ++i) {
      value |= std::uint64_t{bytes_[i]} << 8 * i;
    }
    bytes_ = bytes_.subspan(there);
    return value;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)); }
  std::uint16_t word() { return static_cast<std::uint16_t>(take(2)); }
  std::uint32_t dword() { return static_cast<std::uint32_t>(take(4)); }
  /// At most so many bytes, as they are.
  std::span<const std::byte> rest(std::size_t most) {
    const auto out = std::as_bytes(bytes_.first(std::min(most, bytes_.size())));
    bytes_ = bytes_.subspan(out.size());
    return out;
  }
  template <class T, std::size_t kCount>
  const T& choose(const T (&table)[kCount]) {
    return table[byte() % kCount];
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

/// One access of a guest's: a first byte (bit 0 a write, bits 1 and 2 log2 of the size, bit 3 a
/// value of the table in place of one of the input), then what the target says where it goes, then
/// the value.
class Access {
 public:
  explicit Access(Input& input) : first_(input.byte()) {}

  bool is_write() const { return (first_ & 1) != 0; }
  std::size_t size() const { return std::size_t{1} << (first_ >> 1 & 3); }
  /// Bits 4 to 7, for the target.
  unsigned extra() const { return first_ >> 4U; }
  /// To be called after the place was taken: the bytes of a write.
  std::span<const std::byte> value(Input& input) {
    const std::uint64_t value = (first_ & 8) != 0 ? input.choose(kValues) : input.take(size());
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      bytes_[i] = static_cast<std::byte>(value >> 8 * i & 0xff);
    }
    return std::span<const std::byte>(bytes_).first(size());
  }
  /// Where a read goes.
  std::span<std::byte> room() { return std::span(bytes_).first(size()); }

 private:
  /// What means something to some register: edges, sizing, addresses of the machines here, enable
  /// bits, values of device status.
  static constexpr std::uint64_t kValues[] = {0,          ~std::uint64_t{0},
                                              1,          2,
                                              3,          4,
                                              6,          7,
                                              0x0b,       0x0f,
                                              0x80,       0xff,
                                              0x400,      0x407,
                                              0x1000,     0x2000,
                                              0x3000,     0x8000,
                                              0xffff,     0x10000,
                                              0x100007,   0xc000,
                                              0xe001,     0x40,
                                              0xe0000001, 0xb0000001,
                                              0x90000000, 0xf0000000,
                                              0x80000000, 0x20,
                                              0x100,      0xfee00000};

  const std::uint8_t first_;
  std::array<std::byte, 8> bytes_{};
};

}  // namespace gpuvm::fuzz
