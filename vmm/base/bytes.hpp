// SPDX-License-Identifier: Apache-2.0
// Little-endian loads and stores between integers and byte spans of 1, 2, 4 or 8 bytes (any length
// up to 8 works).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace gpuvm {

/// The first min(8, size) bytes as a little-endian integer.
inline std::uint64_t load_le(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  if (!bytes.empty()) {  // an empty span may have no address
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  }
  return value;
}

/// Stores the low bytes of value; bytes past the eighth become 0.
inline void store_le(std::span<std::byte> bytes, std::uint64_t value) {
  const std::size_t count = std::min(bytes.size(), sizeof value);
  if (count > 0) {
    std::memcpy(bytes.data(), &value, count);
  }
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(count), bytes.end(), std::byte{0});
}

/// A trivially copyable T at offset, or nothing when it does not fit: for files and guest tables.
template <class T>
std::optional<T> load_at(std::span<const std::byte> bytes, std::size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) {
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// Whether [at, at + length) lies in [base, base + size); no sum wraps.
constexpr bool is_inside(std::uint64_t base, std::uint64_t size, std::uint64_t at,
                         std::uint64_t length) {
  return at >= base && at - base < size && length <= size - (at - base);
}

/// The bits of `count` bytes of a dword from byte `first` on, such as those that a write of them
/// covers. first + count is at most 4.
constexpr std::uint32_t byte_lanes(unsigned first, unsigned count) {
  return count == 0 ? 0U : ~0U >> (4 - count) * 8 << first * 8;
}

/// Appends the object representation of a trivially copyable value to a byte container.
template <class Container, class T>
void append_bytes(Container& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto bytes = std::as_bytes(std::span<const T, 1>(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace gpuvm
