// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/address.hpp"

#include <gtest/gtest.h>

#include "vmm/base/units.hpp"

namespace gpuvm::address_test {
namespace {

constexpr std::uint64_t kLast = ~std::uint64_t{0};

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return GuestRange::create(GuestAddress(base), size).value();
}

TEST(AddressRange, RefusesEmptyAndOverflowing) {
  EXPECT_FALSE(GuestRange::create(GuestAddress(0), 0));
  EXPECT_FALSE(GuestRange::create(GuestAddress(2), kLast));
  EXPECT_TRUE(GuestRange::create(GuestAddress(1), kLast));  // ends with the last byte there is
  EXPECT_FALSE(GuestRange::create(GuestAddress(kLast), 2));
  EXPECT_TRUE(GuestRange::create(GuestAddress(kLast), 1));
  EXPECT_TRUE(GuestRange::create(GuestAddress(0), kLast));
}

TEST(AddressRange, LastByteOfTheSpace) {
  const auto top = range(kLast - 3, 4);
  EXPECT_EQ(top.last().value(), kLast);
  EXPECT_TRUE(top.contains(GuestAddress(kLast)));
  EXPECT_FALSE(top.contains(GuestAddress(kLast), 2));
  EXPECT_TRUE(top.contains(GuestAddress(kLast - 3), 4));
  EXPECT_FALSE(top.contains(GuestAddress(kLast - 4)));
}

TEST(AddressRange, ContainsWhollyOrNot) {
  const auto page = range(0x1000, 0x1000);
  EXPECT_TRUE(page.contains(GuestAddress(0x1000), 0x1000));
  EXPECT_FALSE(page.contains(GuestAddress(0x1000), 0x1001));
  EXPECT_FALSE(page.contains(GuestAddress(0xfff), 2));
  EXPECT_TRUE(page.contains(GuestAddress(0x1ffe), 2));
  EXPECT_FALSE(page.contains(GuestAddress(0x1fff), 2));
  EXPECT_FALSE(page.contains(GuestAddress(0x1001), kLast));  // must not wrap
}

TEST(AddressRange, Overlaps) {
  const auto page = range(0x1000, 0x1000);
  EXPECT_TRUE(page.overlaps(range(0x1fff, 1)));
  EXPECT_TRUE(page.overlaps(range(0, kLast)));
  EXPECT_FALSE(page.overlaps(range(0x2000, 1)));
  EXPECT_FALSE(page.overlaps(range(0, 0x1000)));
  EXPECT_FALSE(range(0, 1).overlaps(range(kLast, 1)));
}

TEST(Address, AdditionDoesNotWrap) {
  EXPECT_EQ((GuestAddress(0x1000) + 0x10).value(), 0x1010U);
  EXPECT_EQ((GuestAddress(kLast - 1) + 1).value(), kLast);
  EXPECT_EQ((GuestAddress(0xfffff000) + (kLast - 0xfff)).value(), kLast) << "not 0xffffe000";
  EXPECT_FALSE(GuestRange::create(GuestAddress(kLast) + 1, 2));
}

TEST(Units, Alignment) {
  EXPECT_EQ(align_up(1, kPageSize), kPageSize);
  EXPECT_EQ(align_up(kPageSize, kPageSize), kPageSize);
  EXPECT_EQ(align_down(kPageSize + 1, kPageSize), kPageSize);
  EXPECT_TRUE(is_aligned(0, kPageSize));
  EXPECT_FALSE(is_aligned(1, kPageSize));
  EXPECT_EQ(4_GiB, std::uint64_t{1} << 32);
}

}  // namespace
}  // namespace gpuvm::address_test
