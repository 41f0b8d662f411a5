// SPDX-License-Identifier: Apache-2.0
// The memory map's shape: ACPI 6.5 section 15; legacy holes as on a PC.
#include "firmware/linux/e820.hpp"

#include <gtest/gtest.h>

#include "vmm/base/units.hpp"

namespace gpuvm::e820_test {
namespace {

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}
E820Entry entry(std::uint64_t base, std::uint64_t end, E820Type type) {
  return {range(base, end - base), type};
}

constexpr auto kRam = E820Type::kRam;
constexpr auto kReserved = E820Type::kReserved;

TEST(E820, LooksLikeAPc) {
  const std::vector<GuestRange> ram = {range(0, 2_GiB), range(4_GiB, 6_GiB)};
  const auto map = build_e820(ram, {});
  ASSERT_TRUE(map);
  EXPECT_EQ(*map,
            (std::vector<E820Entry>{entry(0, 0x9fc00, kRam), entry(0x9fc00, 0xa0000, kReserved),
                                    entry(0xe0000, 0x100000, kReserved),
                                    entry(0x100000, 2_GiB, kRam), entry(4_GiB, 10_GiB, kRam)}));
}

TEST(E820, ReservedRangesAreCutOutOfRam) {
  const std::vector<GuestRange> ram = {range(0, 1_GiB)};
  const std::vector<E820Entry> extra = {
      entry(0xe0000000, 0xf0000000, kReserved),              // ECAM, outside RAM
      entry(1_GiB - 64_KiB, 1_GiB, E820Type::kAcpiReclaim),  // top of RAM
      entry(16_MiB, 17_MiB, kReserved),                      // in the middle
      entry(0xe0000, 0xf0000, E820Type::kAcpiReclaim),       // part of the ROM area
  };
  const auto map = build_e820(ram, extra);
  ASSERT_TRUE(map) << map.error().to_string();
  EXPECT_EQ(*map, (std::vector<E820Entry>{
                      entry(0, 0x9fc00, kRam), entry(0x9fc00, 0xa0000, kReserved),
                      entry(0xe0000, 0xf0000, E820Type::kAcpiReclaim),
                      entry(0xf0000, 0x100000, kReserved), entry(1_MiB, 16_MiB, kRam),
                      entry(16_MiB, 17_MiB, kReserved), entry(17_MiB, 1_GiB - 64_KiB, kRam),
                      entry(1_GiB - 64_KiB, 1_GiB, E820Type::kAcpiReclaim),
                      entry(0xe0000000, 0xf0000000, kReserved)}));
}

TEST(E820, AReservedRangeMayCoverAllOfARegion) {
  const std::vector<GuestRange> ram = {range(0, 16_MiB), range(4_GiB, 1_GiB)};
  const std::vector<E820Entry> extra = {entry(4_GiB - 1_MiB, 6_GiB, kReserved)};
  const auto map = build_e820(ram, extra);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->back(), extra[0]);
  EXPECT_EQ((*map)[map->size() - 2], entry(1_MiB, 16_MiB, kRam));
}

TEST(E820, OverlappingReservationsAreABug) {
  const std::vector<E820Entry> extra = {entry(1_GiB, 2_GiB, kReserved),
                                        entry(2_GiB - 1, 3_GiB, kReserved)};
  const auto map = build_e820({}, extra);
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error().kind(), ErrorKind::kInternal);
}

}  // namespace
}  // namespace gpuvm::e820_test
