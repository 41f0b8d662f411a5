// SPDX-License-Identifier: Apache-2.0
// RegionTable: accesses and mappings that leave a region, by sums that overflow too, and regions
// that a kernel or a server cannot have.
#include "devices/physical/region_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "vmm/base/units.hpp"

namespace gpuvm::region_table_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kMax = ~std::uint64_t{0};
constexpr std::uint64_t kMostFileOffset = kMax >> 1;

UniqueFd file_of(std::uint64_t size) {
  UniqueFd file(::memfd_create("region", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
  return file;
}

RegionInfo bar(std::uint64_t size) {
  return {.size = size, .readable = true, .writable = true, .mappable = true};
}

TEST(RegionTable, AnAccessMustBeInsideByNoSumThatOverflows) {
  RegionTable table("gpu0");
  ASSERT_TRUE(table.set(RegionIndex::kBar0, bar(0x1000), {.file_offset = 0x10000}));
  EXPECT_EQ(*table.locate_read(RegionIndex::kBar0, 0, 4), 0x10000U);
  EXPECT_EQ(*table.locate_write(RegionIndex::kBar0, 0xffc, 4), 0x10ffcU);
  EXPECT_FALSE(table.locate_read(RegionIndex::kBar0, 0xffd, 4));
  EXPECT_FALSE(table.locate_read(RegionIndex::kBar0, 0x1000, 0));
  EXPECT_FALSE(table.locate_read(RegionIndex::kBar0, kMax, 2));
  EXPECT_FALSE(table.locate_read(RegionIndex::kBar0, kMax - 3, 4));
  EXPECT_FALSE(table.locate_read(RegionIndex::kBar0, 0, kMax));
  EXPECT_FALSE(table.locate_write(RegionIndex::kBar0, 2, kMax));
  EXPECT_THAT(table.locate_write(RegionIndex::kBar0, kMax, 2).error().to_string(),
              HasSubstr("Cannot write 2 bytes of region 0 of gpu0 at offset 0xffffffffffffffff"));
}

TEST(RegionTable, RightsAreTheRegions) {
  RegionTable table("gpu0");
  ASSERT_TRUE(table.set(RegionIndex::kRom, {.size = 0x100, .readable = true}, {}));
  EXPECT_TRUE(table.locate_read(RegionIndex::kRom, 0, 4));
  EXPECT_FALSE(table.locate_write(RegionIndex::kRom, 0, 4));
  EXPECT_FALSE(table.locate_read(RegionIndex::kBar3, 0, 4));  // absent
}

TEST(RegionTable, AnIndexThatNobodySetIsAnAbsentRegion) {
  const RegionTable table("gpu0");
  for (const std::uint32_t index : {0U, 8U, 9U, 31U, 32U, ~0U}) {
    EXPECT_EQ(table.info(static_cast<RegionIndex>(index)).size, 0U);
    EXPECT_FALSE(table.locate_read(static_cast<RegionIndex>(index), 0, 1));
    EXPECT_FALSE(table.map(static_cast<RegionIndex>(index), {0, kPageSize}, 0));
  }
}

TEST(RegionTable, WhatFileOffsetsDoNotReachIsRefused) {
  RegionTable table("gpu0");
  EXPECT_TRUE(table.set(RegionIndex::kBar0, bar(kMostFileOffset), {}));
  EXPECT_TRUE(table.set(RegionIndex::kBar0, bar(1), {.file_offset = kMostFileOffset - 1}));
  EXPECT_FALSE(table.set(RegionIndex::kBar0, bar(1), {.file_offset = kMostFileOffset}));
  EXPECT_FALSE(table.set(RegionIndex::kBar0, bar(kMax), {}));
  EXPECT_FALSE(table.set(RegionIndex::kBar0, bar(0x1000), {.file_offset = kMax - 0xfff}));
  EXPECT_EQ(table.info(RegionIndex::kBar0).size, 1U) << "a refused region changes nothing";
}

TEST(RegionTable, AreasOutsideTheRegionAreRefused) {
  RegionTable table("gpu0");
  for (const RegionArea& area :
       {RegionArea{0x1000, 1}, RegionArea{0xfff, 2}, RegionArea{kMax, 2}, RegionArea{2, kMax}}) {
    RegionInfo info = bar(0x1000);
    info.sparse_areas = {{0, 0x1000}, area};
    EXPECT_FALSE(table.set(RegionIndex::kBar0, info, {})) << area.offset;
  }
}

TEST(RegionTable, ThirtyTwoRegionsAreLookedAtAndNoMore) {
  EXPECT_EQ(RegionTable::bounded(9), 9U);
  EXPECT_EQ(RegionTable::bounded(32), 32U);
  EXPECT_EQ(RegionTable::bounded(~0U), 32U);
  RegionTable table("gpu0");
  RegionInfo info = bar(0x1000);
  EXPECT_TRUE(table.set(static_cast<RegionIndex>(31), info, {}));  // no type
  EXPECT_FALSE(table.set(static_cast<RegionIndex>(32), info, {}));
  EXPECT_FALSE(table.set(static_cast<RegionIndex>(~0U), info, {}));
  info.type = RegionType{.type = 0x800010de, .subtype = 1};
  EXPECT_TRUE(table.set(static_cast<RegionIndex>(12), info, {}));
  EXPECT_TRUE(table.set(static_cast<RegionIndex>(10), info, {}));
  info.size = 0;
  EXPECT_TRUE(table.set(static_cast<RegionIndex>(11), info, {}));
  EXPECT_THAT(table.specific(),
              ElementsAre(static_cast<RegionIndex>(10), static_cast<RegionIndex>(12)));
}

TEST(RegionTable, OnlyWhatIsInsideAnAreaIsMapped) {
  RegionInfo info = bar(0x10000);
  EXPECT_TRUE(may_map(info, {0, 0x10000}));
  EXPECT_FALSE(may_map(info, {0, 0}));
  EXPECT_FALSE(may_map(info, {0x1000, 0x10000}));
  EXPECT_FALSE(may_map(info, {kMax - 0xfff, 0x2000}));
  info.sparse_areas = {{0, 0x1000}, {0x4000, 0x2000}};
  EXPECT_TRUE(may_map(info, {0x5000, 0x1000}));
  EXPECT_TRUE(may_map(info, {0x4000, 0x2000}));
  EXPECT_FALSE(may_map(info, {0x5000, 0x2000}));
  EXPECT_FALSE(may_map(info, {0x3000, 0x2000}));
  EXPECT_FALSE(may_map(info, {0, 0x6000}));
  info.mappable = false;
  EXPECT_FALSE(may_map(info, {0, 0x1000}));
}

TEST(RegionTable, AMappingIsOfTheRegionsFileAtItsPlace) {
  const UniqueFd shared = file_of(0x8000);
  UniqueFd own = file_of(0x8000);
  const std::byte in_shared{0x11};
  const std::byte in_own{0x22};
  ASSERT_EQ(::pwrite(shared.get(), &in_shared, 1, 0x3000), 1);
  ASSERT_EQ(::pwrite(own.get(), &in_own, 1, 0x3000), 1);
  RegionTable table("gpu0", shared.get());
  ASSERT_TRUE(table.set(RegionIndex::kBar0, bar(0x4000), {.file_offset = 0x2000}));
  ASSERT_TRUE(
      table.set(RegionIndex::kBar2, bar(0x4000), {.file_offset = 0x2000, .file = std::move(own)}));
  const auto first = table.map(RegionIndex::kBar0, {0x1000, 0x1000}, 0);
  const auto second = table.map(RegionIndex::kBar2, {0x1000, 0x1000}, 0);
  ASSERT_TRUE(first) << first.error().to_string();
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(*first->data(), in_shared);
  EXPECT_EQ(*second->data(), in_own);
  EXPECT_FALSE(table.map(RegionIndex::kBar0, {0x1000, 0x4000}, 0));
}

// mmap without a file would be memory that no device has.
TEST(RegionTable, ARegionWithoutAFileIsNotMapped) {
  RegionTable table("gpu0");
  ASSERT_TRUE(table.set(RegionIndex::kBar0, bar(0x1000), {}));
  EXPECT_THAT(table.map(RegionIndex::kBar0, {0, 0x1000}, 0).error().to_string(),
              HasSubstr("has no file"));
}

}  // namespace
}  // namespace gpuvm::region_table_test
