// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bar_set.hpp"

#include <gtest/gtest.h>

#include <random>

#include "vmm/base/units.hpp"

namespace gpuvm::bar_set_test {
namespace {

constexpr std::uint32_t kAll = 0xffffffff;
constexpr std::uint16_t kDecodeBoth = pci::kCommandIo | pci::kCommandMemory;

/// A GPU: 16 MiB registers, 256 MiB 64-bit prefetchable, 32 MiB 64-bit prefetchable, I/O, ROM.
BarSet gpu() {
  BarSet set;
  EXPECT_TRUE(set.define(0, {.kind = BarKind::kMemory32, .size = 16_MiB}));
  EXPECT_TRUE(set.define(1, {.kind = BarKind::kMemory64, .size = 256_MiB, .prefetchable = true}));
  EXPECT_TRUE(set.define(3, {.kind = BarKind::kMemory64, .size = 32_MiB, .prefetchable = true}));
  EXPECT_TRUE(set.define(5, {.kind = BarKind::kIo, .size = 128}));
  EXPECT_TRUE(set.define(BarSet::kRom, {.kind = BarKind::kRom, .size = 512_KiB}));
  return set;
}

std::uint16_t offset_of(unsigned bar) {
  return static_cast<std::uint16_t>(bar == BarSet::kRom ? pci::kRomBar : pci::kBar0 + 4 * bar);
}

// PCI Local Bus 3.0, 6.2.5.1: the type bits are read-only, address bits below the size read 0.
TEST(BarSet, TypeBitsAfterPowerOn) {
  const BarSet set = gpu();
  EXPECT_EQ(set.read(0x10), 0x0U);
  EXPECT_EQ(set.read(0x14), 0xcU);
  EXPECT_EQ(set.read(0x18), 0x0U);
  EXPECT_EQ(set.read(0x1c), 0xcU);
  EXPECT_EQ(set.read(0x24), 0x1U);
  EXPECT_EQ(set.read(0x30), 0x0U);
  EXPECT_EQ(set.read(0x28), 0x0U) << "not a BAR";
}

struct SizingPattern {
  const char* guest;
  std::uint32_t memory;
  std::uint32_t io;
  std::uint32_t rom;
};

class BarSizing : public testing::TestWithParam<SizingPattern> {};

// Whatever pattern a guest writes, the size mask comes back; no pattern is special.
TEST_P(BarSizing, OneBarAtATimeAndRestored) {
  BarSet set = gpu();
  ASSERT_TRUE(set.set_power_on_address(1, 0x38'0000'0000));
  const std::uint32_t low = set.read(0x14);
  const std::uint32_t high = set.read(0x18);
  set.write(0x14, GetParam().memory, kAll);
  EXPECT_EQ(set.read(0x14), 0xf000000cU);
  set.write(0x14, low, kAll);
  set.write(0x18, kAll, kAll);
  EXPECT_EQ(set.read(0x18), 0xffffffffU);
  set.write(0x18, high, kAll);
  EXPECT_EQ(set.address(1), 0x38'0000'0000U);
  set.write(0x10, GetParam().memory, kAll);
  EXPECT_EQ(set.read(0x10), 0xff000000U);
  set.write(0x24, GetParam().io, kAll);
  EXPECT_EQ(set.read(0x24), 0xffffff81U);
  set.write(0x30, GetParam().rom, kAll);
  EXPECT_EQ(set.read(0x30) & ~pci::kRomEnable, 0xfff80000U);
}

// Windows writes all BARs first and then reads them all back.
TEST_P(BarSizing, AllBarsAtOnce) {
  BarSet set = gpu();
  for (unsigned bar = 0; bar <= 5; ++bar) {
    set.write(offset_of(bar), bar == 5 ? GetParam().io : GetParam().memory | 0xf, kAll);
  }
  set.write(offset_of(BarSet::kRom), GetParam().rom, kAll);
  EXPECT_EQ(set.read(0x10), 0xff000000U);
  EXPECT_EQ(set.read(0x14), 0xf000000cU);
  EXPECT_EQ(set.read(0x18), 0xffffffffU);
  EXPECT_EQ(set.read(0x1c), 0xfe00000cU);
  EXPECT_EQ(set.read(0x20), 0xffffffffU);
  EXPECT_EQ(set.read(0x24), 0xffffff81U);
  EXPECT_EQ(set.read(0x30) & ~pci::kRomEnable, 0xfff80000U);
  EXPECT_TRUE(set.placements(kDecodeBoth).empty()) << "nothing may be mapped while sized";
}

INSTANTIATE_TEST_SUITE_P(
    Guests, BarSizing,
    testing::Values(SizingPattern{"Linux", 0xffffffff, 0xffffffff, 0xfffff800},
                    SizingPattern{"Windows", 0xffffffff, 0xffffffff, 0xffffffff},
                    SizingPattern{"OVMF", 0xffffffff, 0xffffffff, 0xfffffffe},
                    SizingPattern{"OpenBSD", 0xfffffff0, 0xfffffffc, 0xfffffffe}),
    [](const auto& instance) { return std::string(instance.param.guest); });

// PCI Local Bus 3.0, 6.2.5.2: bit 0 of the ROM register enables it and is writable on its own.
TEST(BarSet, RomSizingPatternOfOvmfLeavesItDisabled) {
  BarSet set = gpu();
  set.write(0x30, 0xfffffffe, kAll);
  EXPECT_EQ(set.read(0x30), 0xfff80000U);
  EXPECT_FALSE(set.rom_enabled());
  set.write(0x30, 0xe0000001, kAll);
  EXPECT_EQ(set.read(0x30), 0xe0000001U);
  EXPECT_TRUE(set.rom_enabled());
}

TEST(BarSet, RomNeedsBothEnableBits) {
  BarSet set = gpu();
  set.write(0x30, 0xe0000000, kAll);
  EXPECT_TRUE(set.placements(pci::kCommandMemory).empty());
  set.write(0x30, 0x00000001, 0x000000ff);
  EXPECT_TRUE(set.placements(0).empty());
  const std::vector<BarPlacement> expected = {{BarSet::kRom, BarKind::kRom, 0xe0000000, 512_KiB}};
  EXPECT_EQ(set.placements(pci::kCommandMemory), expected);
}

TEST(BarSet, ByteLanes) {
  BarSet set = gpu();
  set.write(0x10, 0xe1234567, 0xff000000);
  EXPECT_EQ(set.read(0x10), 0xe1000000U);
  set.write(0x10, 0x00000000, 0x00ffffff);
  EXPECT_EQ(set.address(0), 0xe1000000U);
}

TEST(BarSet, PlacementsFollowDecodeBits) {
  BarSet set = gpu();
  ASSERT_TRUE(set.set_power_on_address(0, 0xe0000000));
  ASSERT_TRUE(set.set_power_on_address(1, 0x38'0000'0000));
  ASSERT_TRUE(set.set_power_on_address(5, 0xc000));
  EXPECT_TRUE(set.placements(0).empty());
  EXPECT_EQ(set.placements(pci::kCommandIo),
            (std::vector<BarPlacement>{{5, BarKind::kIo, 0xc000, 128}}));
  EXPECT_EQ(set.placements(kDecodeBoth),
            (std::vector<BarPlacement>{{0, BarKind::kMemory32, 0xe0000000, 16_MiB},
                                       {1, BarKind::kMemory64, 0x38'0000'0000, 256_MiB},
                                       {5, BarKind::kIo, 0xc000, 128}}));
}

// The halves are written one after the other; the state between them is whatever it is, but the
// sizing pattern in the upper half is never an address.
TEST(BarSet, HalvesOfA64BitBar) {
  BarSet set = gpu();
  ASSERT_TRUE(set.set_power_on_address(1, 0x38'0000'0000));
  set.write(0x18, kAll, kAll);
  EXPECT_TRUE(set.placements(kDecodeBoth).empty());
  set.write(0x18, 0x39, kAll);
  set.write(0x14, 0xf0000000, kAll);
  EXPECT_EQ(set.placements(kDecodeBoth),
            (std::vector<BarPlacement>{{1, BarKind::kMemory64, 0x39'f000'0000, 256_MiB}}));
}

TEST(BarSet, LargeBarsHaveNoLowAddressBits) {
  BarSet set;
  ASSERT_TRUE(set.define(0, {.kind = BarKind::kMemory64, .size = 64_GiB, .prefetchable = true}));
  EXPECT_FALSE(set.define(1, {.kind = BarKind::kMemory32, .size = 4_KiB})) << "upper half of BAR 0";
  EXPECT_FALSE(set.define(0, {.kind = BarKind::kMemory32, .size = 4_KiB}));
  set.write(0x10, kAll, kAll);
  set.write(0x14, kAll, kAll);
  EXPECT_EQ(set.read(0x10), 0xcU);
  EXPECT_EQ(set.read(0x14), 0xfffffff0U);
  set.write(0x14, 0x7f, kAll);
  EXPECT_EQ(set.address(0), 0x70'0000'0000U);
}

TEST(BarSet, AddressZeroIsNoPlacement) {
  BarSet set = gpu();
  EXPECT_TRUE(set.placements(kDecodeBoth).empty());
}

TEST(BarSet, IoAboveThePortSpaceIsNoPlacement) {
  BarSet set = gpu();
  set.write(0x24, 0x10000, kAll);
  EXPECT_TRUE(set.placements(kDecodeBoth).empty());
  set.write(0x24, 0xff00, kAll);
  EXPECT_EQ(set.placements(kDecodeBoth).size(), 1U);
}

TEST(BarSet, ResetRestoresPowerOnAddresses) {
  BarSet set = gpu();
  ASSERT_TRUE(set.set_power_on_address(0, 0xe0000000));
  ASSERT_TRUE(set.set_power_on_address(BarSet::kRom, 0xe1000000));
  set.write(0x10, kAll, kAll);
  set.write(0x14, 0xd0000000, kAll);
  set.write(0x30, kAll, kAll);
  set.reset();
  EXPECT_EQ(set.address(0), 0xe0000000U);
  EXPECT_EQ(set.address(1), 0U);
  EXPECT_EQ(set.read(0x30), 0xe1000000U) << "the ROM is placed but not enabled";
}

TEST(BarSet, BadDefinitionsAreRefused) {
  BarSet set;
  EXPECT_FALSE(set.define(0, {.kind = BarKind::kMemory32, .size = 0}));
  EXPECT_FALSE(set.define(0, {.kind = BarKind::kMemory32, .size = 24}));
  EXPECT_FALSE(set.define(0, {.kind = BarKind::kMemory32, .size = 8}));
  EXPECT_FALSE(set.define(0, {.kind = BarKind::kMemory32, .size = 4_GiB}));
  EXPECT_FALSE(set.define(5, {.kind = BarKind::kMemory64, .size = 4_GiB}));
  EXPECT_FALSE(set.define(6, {.kind = BarKind::kMemory32, .size = 4_KiB}));
  EXPECT_FALSE(set.define(0, {.kind = BarKind::kRom, .size = 4_KiB}));
  EXPECT_FALSE(set.define(BarSet::kRom, {.kind = BarKind::kRom, .size = 32_MiB}));
  EXPECT_FALSE(set.define(0xffffffff, {.kind = BarKind::kMemory64, .size = 4_KiB}));
  EXPECT_FALSE(set.description(0));
}

TEST(BarSet, BadPowerOnAddressesAreRefused) {
  BarSet set = gpu();
  EXPECT_FALSE(set.set_power_on_address(0, 0xe0100000)) << "unaligned";
  EXPECT_FALSE(set.set_power_on_address(0, 0x1'0000'0000)) << "32-bit BAR";
  EXPECT_FALSE(set.set_power_on_address(2, 0xe0000000)) << "upper half";
  EXPECT_FALSE(set.set_power_on_address(99, 0xe0000000));
  EXPECT_FALSE(set.set_power_on_address(5, 0x10000));
}

// Hostile writes: read-only bits hold, addresses stay aligned, placements stay in their space.
TEST(BarSet, RandomWritesKeepTheInvariants) {
  BarSet set = gpu();
  std::mt19937 random(20240601);
  for (int step = 0; step < 20000; ++step) {
    const auto offset = static_cast<std::uint16_t>(random() % 0x40 & ~3U);
    std::uint32_t mask = 0;
    for (unsigned lane = 0; lane < 4; ++lane) {
      mask |= random() % 2 != 0 ? 0xffU << (8 * lane) : 0;
    }
    set.write(offset, random() % 4 == 0 ? kAll : static_cast<std::uint32_t>(random()), mask);
    ASSERT_EQ(set.read(0x10) & 0x00ffffff, 0U);
    ASSERT_EQ(set.read(0x14) & 0x0fffffff, 0xcU);
    ASSERT_EQ(set.read(0x24) & 0x7f, 1U);
    for (const auto& placement : set.placements(kDecodeBoth)) {
      ASSERT_TRUE(is_aligned(placement.address, placement.size));
      ASSERT_NE(placement.address, 0U);
      ASSERT_LE(placement.size - 1, ~std::uint64_t{0} - placement.address);
    }
  }
}

}  // namespace
}  // namespace gpuvm::bar_set_test
