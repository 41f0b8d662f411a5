// SPDX-License-Identifier: Apache-2.0
// The FAT16 volume by its specification; tests/golden/nocloud shows one to others' tools.
#include "vmm/first_boot/fat_volume.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "vmm/base/units.hpp"
#include "vmm/first_boot/fat_spec.hpp"

namespace gpuvm::fat_volume_test {
namespace {

fat::BootSector boot_of(const std::vector<std::byte>& volume) {
  fat::BootSector boot{};
  std::memcpy(&boot, volume.data(), sizeof boot);
  return boot;
}

std::uint32_t clusters_in(const fat::BootSector& boot) {
  const std::uint32_t total =
      boot.total_sectors16 != 0 ? boot.total_sectors16 : boot.total_sectors32;
  return total - boot.reserved_sectors - boot.fats * boot.sectors_per_fat -
         boot.root_entries * 32U / 512U;
}

// 3.5: 4085 to 65524 clusters are FAT16, whatever a volume says of itself.
TEST(FatVolume, IsFat16) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 3 * 1_MiB, 31 * 1_MiB}) {
    const auto volume = make_fat_volume("CIDATA", 1, {{"user-data", std::string(size, 'x')}});
    ASSERT_TRUE(volume);
    EXPECT_EQ(volume->size() % 512, 0U);
    const auto boot = boot_of(*volume);
    EXPECT_GE(clusters_in(boot), 4085U + 16);
    EXPECT_LE(clusters_in(boot), 65524U - 16);
    EXPECT_EQ(+boot.signature, 0xaa55);
    EXPECT_GE(boot.sectors_per_fat * 256U, clusters_in(boot) + 2);
  }
}

/// One of a long name's UTF-16 units, which lie at odd addresses.
std::uint16_t unit_of(const fat::LongNameEntry& entry, std::size_t part, std::size_t index) {
  std::uint16_t unit = 0;
  std::memcpy(&unit, reinterpret_cast<const std::byte*>(&entry) + part + index * sizeof unit,
              sizeof unit);
  return unit;
}

TEST(FatVolume, LabelAndLongNames) {
  const auto volume = *make_fat_volume("CIDATA", 0x12345678, {{"network-config", "abc"}});
  const auto boot = boot_of(volume);
  EXPECT_EQ(std::string(boot.label.begin(), boot.label.end()), "CIDATA     ");
  EXPECT_EQ(+boot.serial, 0x12345678U);
  const std::size_t root = 512 * (1 + 2U * boot.sectors_per_fat);
  const auto entry = [&](std::size_t index) {
    fat::DirectoryEntry entry{};
    std::memcpy(&entry, volume.data() + root + index * 32, sizeof entry);
    return entry;
  };
  const auto name = [&entry](std::size_t index) {
    const auto found = entry(index);
    return std::string(found.name.begin(), found.name.end());
  };
  EXPECT_EQ(+entry(0).attributes, 0x08);
  EXPECT_EQ(name(0), "CIDATA     ");
  // 14 characters: the fourteenth, the end and the filler stand first.
  fat::LongNameEntry last{};
  std::memcpy(&last, volume.data() + root + 32, sizeof last);
  EXPECT_EQ(+last.order, 0x42);
  EXPECT_EQ(unit_of(last, offsetof(fat::LongNameEntry, name1), 0), 'g');
  EXPECT_EQ(unit_of(last, offsetof(fat::LongNameEntry, name1), 1), 0);
  EXPECT_EQ(unit_of(last, offsetof(fat::LongNameEntry, name1), 2), 0xffff);
  EXPECT_EQ(unit_of(last, offsetof(fat::LongNameEntry, name3), 1), 0xffff);
  fat::LongNameEntry first{};
  std::memcpy(&first, volume.data() + root + 64, sizeof first);
  EXPECT_EQ(+first.order, 1);
  EXPECT_EQ(unit_of(first, offsetof(fat::LongNameEntry, name1), 0), 'n');
  EXPECT_EQ(unit_of(first, offsetof(fat::LongNameEntry, name3), 1), 'i');
  EXPECT_EQ(name(3), "NETWOR~1   ");
  EXPECT_EQ(+entry(3).size, 3U);
  EXPECT_EQ(+entry(3).cluster, 2U);
  EXPECT_EQ(std::memcmp(volume.data() + root + 512 * 32, "abc", 3), 0);
}

TEST(FatVolume, ChainsOfClusters) {
  const auto volume =
      *make_fat_volume("A", 0, {{"a", std::string(513, 'a')}, {"b", ""}, {"c", "c"}});
  std::array<std::uint16_t, 6> fat{};
  std::memcpy(fat.data(), volume.data() + 512, sizeof fat);
  EXPECT_EQ(fat, (std::array<std::uint16_t, 6>{0xfff8, 0xffff, 3, 0xffff, 0xffff, 0}));
  const auto boot = boot_of(volume);
  EXPECT_EQ(std::memcmp(volume.data() + 512, volume.data() + 512 + 512 * boot.sectors_per_fat,
                        512U * boot.sectors_per_fat),
            0)
      << "both FATs are alike";
}

TEST(FatVolume, SameInputSameBytes) {
  const std::vector<VolumeFile> files = {{"a", "1"}, {"b", "2"}};
  EXPECT_EQ(*make_fat_volume("A", 7, files), *make_fat_volume("A", 7, files));
}

TEST(FatVolume, WhatDoesNotFit) {
  EXPECT_EQ(make_fat_volume("A", 0, {{"a", std::string(31_MiB + 1, 'x')}}).error().kind(),
            ErrorKind::kConfig);
  for (const char* name : {"", "a/b", "a.b", "\xc3\xa4", "a b"}) {
    EXPECT_EQ(make_fat_volume("A", 0, {{name, ""}}).error().kind(), ErrorKind::kInternal) << name;
  }
  EXPECT_FALSE(make_fat_volume("A", 0, {{std::string(65, 'a'), ""}}));
  EXPECT_FALSE(make_fat_volume("cidata", 0, {}));
  EXPECT_FALSE(make_fat_volume("ABCDEFGHIJKL", 0, {}));
  EXPECT_FALSE(make_fat_volume("A", 0, std::vector<VolumeFile>(33, {"a", ""})));
}

}  // namespace
}  // namespace gpuvm::fat_volume_test
