// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_place.hpp"

#include <gtest/gtest.h>

#include <set>

#include "vmm/base/units.hpp"

namespace gpuvm::kernel_place_test {
namespace {

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

class KernelPlaceTest : public testing::Test {
 protected:
  KernelPlaceTest() {
    header_.pref_address = 16_MiB;
    header_.kernel_alignment = static_cast<std::uint32_t>(2_MiB);
    header_.init_size = static_cast<std::uint32_t>(63_MiB);
    header_.relocatable_kernel = 1;
  }
  KernelChoice choice(std::string_view line = "") {
    return {.header = header_,
            .ram = ram_,
            .avoid = avoid_,
            .command_line = line,
            .random = [this](std::uint64_t limit) -> Result<std::uint64_t> {
              limits_.push_back(limit);
              return next_ % limit;
            }};
  }
  std::uint64_t base(std::string_view line = "") {
    return choose_kernel_base(choice(line)).value().value();
  }
  std::uint64_t distance(std::string_view line = "") {
    return choose_kernel_distance(choice(line)).value();
  }

  ::setup_header header_{};
  std::vector<GuestRange> ram_ = {range(0, 256_MiB)};
  std::vector<GuestRange> avoid_;
  std::uint64_t next_ = 0;
  std::vector<std::uint64_t> limits_;
};

// Each place fits, is aligned, touches nothing that is taken, and all are possible.
TEST_F(KernelPlaceTest, EachFreePlaceOfRamIsPossible) {
  ram_ = {range(0, 256_MiB), range(4_GiB, 128_MiB)};
  avoid_ = {range(100_MiB, 1), range(30_MiB, 80_MiB), range(0, 1_MiB), range(250_MiB, 6_MiB)};
  std::set<std::uint64_t> seen;
  for (next_ = 0; next_ < 200; ++next_) {
    const std::uint64_t at = base();
    seen.insert(at);
    EXPECT_EQ(at % 2_MiB, 0U);
    const GuestRange taken = range(at, header_.init_size);
    EXPECT_TRUE(ram_[0].contains(taken.base(), taken.size()) ||
                ram_[1].contains(taken.base(), taken.size()));
    for (const auto& other : avoid_) {
      EXPECT_FALSE(other.overlaps(taken)) << at;
    }
  }
  // [110, 250) MiB: 110 to 186; [4 GiB, 4 GiB + 128 MiB): up to + 64.
  EXPECT_EQ(seen.size(), 39U + 33U);
  EXPECT_EQ(*seen.begin(), 110_MiB);
  EXPECT_EQ(*seen.rbegin(), 4_GiB + 64_MiB);
  EXPECT_EQ(limits_.front(), 39U + 33U);
}

TEST_F(KernelPlaceTest, NotBelowSixteenMebibytesNorAbove512Gibibytes) {
  ram_ = {range(0, 79_MiB), range(512_GiB - 64_MiB, 1_GiB)};
  std::set<std::uint64_t> seen;
  for (next_ = 0; next_ < 10; ++next_) {
    seen.insert(base());
  }
  EXPECT_EQ(seen, (std::set<std::uint64_t>{16_MiB, 512_GiB - 64_MiB}));
}

TEST_F(KernelPlaceTest, WhereNothingIsFreeItIsTheLinkedAddress) {
  ram_ = {range(0, 70_MiB)};
  EXPECT_EQ(base(), 16_MiB);
}

TEST_F(KernelPlaceTest, TheVirtualDistanceKeepsItInItsMapping) {
  next_ = ~std::uint64_t{0};
  EXPECT_LE(distance() + 16_MiB + header_.init_size, 1_GiB);
  EXPECT_EQ(limits_.back(), (1_GiB - 16_MiB - 63_MiB) / 2_MiB + 1);
  next_ = 3;
  EXPECT_EQ(distance(), 6_MiB);
  header_.init_size = static_cast<std::uint32_t>(1_GiB);
  EXPECT_EQ(distance(), 0U);
}

TEST_F(KernelPlaceTest, WhatTheCommandLineSaysHolds) {
  next_ = 5;
  EXPECT_EQ(base("quiet nokaslr"), 16_MiB);
  EXPECT_EQ(distance("nokaslr"), 0U);
  EXPECT_FALSE(may_move(choice("a\tnokaslr b")));
  for (const char* const line : {"mem=128M", "quiet memmap=64K$0x18690000", "hugepages=4"}) {
    EXPECT_EQ(base(line), 16_MiB) << line;
    EXPECT_EQ(distance(line), 10_MiB) << line;
  }
  for (const char* const line : {"nokaslrx", "xnokaslr", "init=/bin/sh -- nokaslr", "member=1"}) {
    EXPECT_EQ(base(line), 26_MiB) << line;
    EXPECT_TRUE(may_move(choice(line))) << line;
  }
  header_.relocatable_kernel = 0;
  EXPECT_FALSE(may_move(choice()));
  EXPECT_EQ(base(), 16_MiB);
}

TEST(HostRandomBelow, StaysBelowAndVaries) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto number = host_random_below(10);
    ASSERT_TRUE(number);
    EXPECT_LT(*number, 10U);
    seen.insert(*number);
  }
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_EQ(host_random_below(1).value(), 0U);
}

}  // namespace
}  // namespace gpuvm::kernel_place_test
