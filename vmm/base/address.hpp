// SPDX-License-Identifier: Apache-2.0
// Strong types for numbers that live in a space: guest physical addresses, IOVAs, interrupt
// numbers. A range cannot be built invalid (empty, or past the end of the space).
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <optional>

namespace gpuvm {

template <class Tag>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t value) : value_(value) {}
  constexpr std::uint64_t value() const { return value_; }
  constexpr auto operator<=>(const Address&) const = default;  // NOLINT(modernize-use-nullptr)
  /// Past the end of the space: its last address. It never wraps to a low one, so that a range that
  /// begins there cannot be created.
  constexpr Address operator+(std::uint64_t offset) const {
    constexpr auto kLast = std::numeric_limits<std::uint64_t>::max();
    return Address(offset > kLast - value_ ? kLast : value_ + offset);
  }
  /// Bytes from `other`, which is not above this one, to here.
  constexpr std::uint64_t operator-(Address other) const { return value_ - other.value_; }

 private:
  std::uint64_t value_ = 0;
};

using GuestAddress = Address<struct GuestAddressTag>;  ///< guest physical
using Iova = Address<struct IovaTag>;      ///< as a device behind the IOMMU addresses memory
using IoPort = Address<struct IoPortTag>;  ///< x86 I/O port, 0 to 0xffff

/// A global system interrupt: a pin of the I/O APIC (0 to 23) or an MSI route (24 and up).
class Gsi {
 public:
  constexpr explicit Gsi(std::uint32_t value) : value_(value) {}
  constexpr std::uint32_t value() const { return value_; }
  constexpr auto operator<=>(const Gsi&) const = default;  // NOLINT(modernize-use-nullptr)

 private:
  std::uint32_t value_;
};

/// [base, base + size), size > 0, last byte representable.
template <class A>
class AddressRange {
 public:
  static constexpr std::optional<AddressRange> create(A base, std::uint64_t size) {
    if (size == 0 || size - 1 > std::numeric_limits<std::uint64_t>::max() - base.value()) {
      return std::nullopt;
    }
    return AddressRange(base, size);
  }
  constexpr A base() const { return base_; }
  constexpr std::uint64_t size() const { return size_; }
  constexpr A last() const { return base_ + (size_ - 1); }
  /// True if [at, at + length) lies wholly inside; length 0 counts as 1.
  constexpr bool contains(A at, std::uint64_t length = 1) const {
    return at >= base_ && at - base_ < size_ && length <= size_ - (at - base_);
  }
  constexpr bool overlaps(const AddressRange& other) const {
    return base_ <= other.last() && other.base_ <= last();
  }
  constexpr bool operator==(const AddressRange&) const = default;

 private:
  constexpr AddressRange(A base, std::uint64_t size) : base_(base), size_(size) {}
  A base_;
  std::uint64_t size_;
};

using GuestRange = AddressRange<GuestAddress>;
using PortRange = AddressRange<IoPort>;
using IovaRange = AddressRange<Iova>;

}  // namespace gpuvm
