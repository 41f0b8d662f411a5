// SPDX-License-Identifier: Apache-2.0
// Sizes and alignment arithmetic. Alignments are powers of two.
#pragma once

#include <bit>
#include <cstdint>

namespace gpuvm {

constexpr std::uint64_t operator""_KiB(unsigned long long n) {
  return n << 10;
}
constexpr std::uint64_t operator""_MiB(unsigned long long n) {
  return n << 20;
}
constexpr std::uint64_t operator""_GiB(unsigned long long n) {
  return n << 30;
}

constexpr std::uint64_t kPageSize = 4096;

constexpr bool is_aligned(std::uint64_t value, std::uint64_t alignment) {
  return (value & (alignment - 1)) == 0;
}
constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) {
  return value & ~(alignment - 1);
}
/// Wraps to 0 where the result would not fit: check the input first when it is not ours.
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return align_down(value + alignment - 1, alignment);
}

}  // namespace gpuvm
