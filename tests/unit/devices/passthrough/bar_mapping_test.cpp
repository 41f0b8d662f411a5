// SPDX-License-Identifier: Apache-2.0
// BarLayout, BarMapping, TrappedRegion, HotOffsets, RomWindow over the fake device.
#include "devices/passthrough/bar_mapping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/passthrough/rom.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "tests/unit/firmware/rom/rom_builder.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

static bool operator==(const RegionArea& a, const RegionArea& b) {
  return a.offset == b.offset && a.size == b.size;
}
static std::ostream& operator<<(std::ostream& out, const RegionArea& area) {
  return out << std::hex << area.offset << "+" << area.size;
}

namespace bar_mapping_test {
namespace {

using test::FakeMemorySlots;
using test::FakePhysicalDevice;
using Areas = std::vector<RegionArea>;

RegionInfo mappable(std::uint64_t size) {
  return {
      .size = size, .readable = true, .writable = true, .mappable = true, .msix_mappable = true};
}

TEST(BarLayout, WholeBarWithoutExits) {
  const auto layout = BarLayout::plan(mappable(16_MiB), 16_MiB, std::nullopt);
  EXPECT_EQ(layout.host_areas, (Areas{{0, 16_MiB}}));
  EXPECT_EQ(layout.direct, (Areas{{0, 16_MiB}}));
  EXPECT_TRUE(layout.trapped.empty());
}

TEST(BarLayout, MsixPageIsCutOutOfTheGuestsView) {
  const RegionArea table{0x1000, 0x1000};
  auto region = mappable(0x4000);
  auto layout = BarLayout::plan(region, 0x4000, table);
  EXPECT_EQ(layout.host_areas, (Areas{{0, 0x4000}}));  // one mapping keeps its alignment
  EXPECT_EQ(layout.direct, (Areas{{0, 0x1000}, {0x2000, 0x2000}}));
  EXPECT_EQ(layout.trapped, (Areas{{0x1000, 0x1000}}));
  region.msix_mappable = false;
  layout = BarLayout::plan(region, 0x4000, table);
  EXPECT_EQ(layout.host_areas, layout.direct);
}

TEST(BarLayout, SparseAreasAreHonoured) {
  auto region = mappable(0x10000);
  region.sparse_areas = {{0x8000, 0x2000}, {0x1800, 0x2000}, {0x9000, 0x800}, {0x20000, 0x1000}};
  const auto layout = BarLayout::plan(region, 0x10000, std::nullopt);
  EXPECT_EQ(layout.direct, (Areas{{0x2000, 0x1000}, {0x8000, 0x2000}}));
  EXPECT_EQ(layout.trapped, (Areas{{0, 0x2000}, {0x3000, 0x5000}, {0xa000, 0x6000}}));
}

TEST(BarLayout, HostileSparseAreas) {
  auto region = mappable(0x4000);
  region.sparse_areas = {{0, ~0ULL}, {~0ULL - 10, 100}, {0x1000, 0}, {0x2000, 0x1000}};
  const auto layout = BarLayout::plan(region, 0x4000, std::nullopt);
  EXPECT_EQ(layout.direct, (Areas{{0, 0x4000}}));
}

TEST(BarLayout, SmallOrUnmappableIsTrapped) {
  EXPECT_EQ(BarLayout::plan(mappable(256), 256, std::nullopt).trapped, (Areas{{0, 256}}));
  auto region = mappable(0x4000);
  region.mappable = false;
  EXPECT_EQ(BarLayout::plan(region, 0x4000, std::nullopt).trapped, (Areas{{0, 0x4000}}));
  // A slot is read and written: what may not be both is none (KVM_RUN would answer EFAULT).
  region = mappable(0x4000);
  region.writable = false;
  EXPECT_EQ(BarLayout::plan(region, 0x4000, std::nullopt).trapped, (Areas{{0, 0x4000}}));
  EXPECT_TRUE(BarLayout::plan(region, 0x4000, std::nullopt).host_areas.empty());
  region = mappable(0x4000);
  region.readable = false;
  EXPECT_EQ(BarLayout::plan(region, 0x4000, std::nullopt).trapped, (Areas{{0, 0x4000}}));
  // A region that is no power of two: the rest of the BAR is trapped.
  EXPECT_EQ(BarLayout::plan(mappable(0x3000), 0x4000, std::nullopt).trapped,
            (Areas{{0x3000, 0x1000}}));
}

TEST(BarLayout, AlignmentForHugePages) {
  EXPECT_EQ(BarLayout::alignment(16_MiB, {0, 16_MiB}), 16_MiB);
  EXPECT_EQ(BarLayout::alignment(std::uint64_t{128} << 30, {0, 1}), 1_GiB);
  EXPECT_EQ(BarLayout::alignment(3_MiB, {0, 3_MiB}), 4_MiB);
  EXPECT_EQ(BarLayout::alignment(16_MiB, {0x3000, 1}), 0x1000U);
}

class BarMappingTest : public ::testing::Test {
 protected:
  std::unique_ptr<BarMapping> make(std::uint64_t size, std::optional<RegionArea> table = {},
                                   BarSpaceKind kind = BarSpaceKind::kMemory) {
    return std::move(BarMapping::create({.device = device_,
                                         .bar = 0,
                                         .kind = kind,
                                         .size = size,
                                         .trapped_area = table,
                                         .overlay = nullptr,
                                         .bus = bus_.bus()}))
        .value();
  }
  std::uint64_t read(std::uint64_t at, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    mmio_.read(GuestAddress(at), std::span(bytes).first(size));
    return load_le(std::span(bytes).first(size));
  }
  void write(std::uint64_t at, std::uint64_t value, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    store_le(bytes, value);
    mmio_.write(GuestAddress(at), std::span(bytes).first(size));
  }

  FakePhysicalDevice device_{test::gt710_config()};
  test::FakeGuestBus bus_;
  FakeMemorySlots& slots_ = bus_.slots;
  MmioBus& mmio_ = bus_.mmio;
  PortBus& ports_ = bus_.ports;
};

TEST_F(BarMappingTest, SlotsCarryTheDevicesMemory) {
  device_.add_bar(0, 0x4000);
  const auto bar = make(0x4000, RegionArea{0x1000, 0x1000});
  ASSERT_TRUE(bar->map(0xe0000000));
  EXPECT_TRUE(slots_.has(0xe0000000));
  EXPECT_TRUE(slots_.has(0xe0002000));
  ASSERT_EQ(slots_.slots.size(), 2U);
  std::next(slots_.slots.begin())->second.host[4] = std::byte{0x5a};
  EXPECT_EQ(device_.bar_bytes(0, 0x2004, 1).front(), std::byte{0x5a});
  write(0xe0001010, 0x11223344, 4);
  EXPECT_EQ(load_le(device_.bar_bytes(0, 0x1010, 4)), 0x11223344U);
  bar->unmap();
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_EQ(read(0xe0001010, 4), 0xffffffffU);
  EXPECT_EQ(device_.count("map"), 1U);  // the host mapping is made once
}

TEST_F(BarMappingTest, FailedSlotLeavesNothing) {
  device_.add_bar(0, 0x4000);
  const auto bar = make(0x4000, RegionArea{0x1000, 0x1000});
  slots_.failures = 1;
  EXPECT_FALSE(bar->map(0xe0000000));
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_EQ(read(0xe0001010, 4), 0xffffffffU);
  EXPECT_TRUE(bar->map(0xe0000000));  // nothing was left behind that is in the way
}

TEST_F(BarMappingTest, AccessesOfEveryWidthAndAlignment) {
  device_.add_bar(0, 256, false);
  const auto bar = make(256);
  ASSERT_TRUE(bar->map(0xe0000000));
  for (std::uint64_t offset = 0; offset <= 248; ++offset) {
    for (const std::size_t size : {1U, 2U, 4U, 8U}) {
      const auto value = 0x0123456789abcdef + offset;
      const auto expected = size == 8 ? value : value & ((1ULL << size * 8) - 1);
      write(0xe0000000 + offset, value, size);
      EXPECT_EQ(read(0xe0000000 + offset, size), expected) << offset << "/" << size;
    }
  }
}

TEST_F(BarMappingTest, UnalignedIsSplitNaturally) {
  device_.add_bar(0, 256, false);
  const auto bar = make(256);
  ASSERT_TRUE(bar->map(0xe0000000));
  write(0xe0000004, 1, 8);
  EXPECT_EQ(device_.bar_sizes, (std::vector<std::size_t>{4, 4}));
  device_.bar_sizes.clear();
  write(0xe0000001, 1, 4);
  EXPECT_EQ(device_.bar_sizes, (std::vector<std::size_t>{1, 2, 1}));
}

TEST_F(BarMappingTest, GoneDeviceReadsOnesAndPastTheRegionToo) {
  device_.add_bar(0, 0x3000);
  const auto bar = make(0x4000);
  ASSERT_TRUE(bar->map(0xe0000000));
  EXPECT_EQ(read(0xe0003000, 8), ~0ULL);
  write(0xe0003000, 0, 8);
  device_.edit_region(0).mappable = false;
  const auto trapped = make(0x4000);
  bar->unmap();
  ASSERT_TRUE(trapped->map(0xe0000000));
  device_.set_gone(true);
  EXPECT_EQ(read(0xe0000000, 4), 0xffffffffU);
  InspectNode node;
  trapped->inspect(node);
  EXPECT_EQ(node.get("errors"), "1");
}

TEST_F(BarMappingTest, IoBarOnThePortBus) {
  device_.add_bar(0, 128, false);
  const auto bar = make(128, {}, BarSpaceKind::kIo);
  ASSERT_TRUE(bar->map(0xe000));
  const std::array<std::byte, 4> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  ports_.write(IoPort(0xe008), bytes);
  EXPECT_EQ(load_le(device_.bar_bytes(0, 8, 4)), 0x04030201U);
  bar->unmap();
  ports_.write(IoPort(0xe010), bytes);
  EXPECT_EQ(load_le(device_.bar_bytes(0, 0x10, 4)), 0U);
}

TEST_F(BarMappingTest, HottestOffsetsAreShown) {
  device_.add_bar(0, 0x1000, false);
  const auto bar = make(0x1000);
  ASSERT_TRUE(bar->map(0xe0000000));
  for (std::uint64_t i = 0; i < 300; ++i) {
    read(0xe0000088, 4);
    read(0xe0000000 + i * 4 % 0x1000, 4);
  }
  const auto top = bar->hot_offsets().top(1);
  ASSERT_EQ(top.size(), 1U);
  EXPECT_EQ(top[0].offset, 0x88U);
  EXPECT_GE(top[0].total(), 300U);
  EXPECT_EQ(bar->hot_offsets().total(), 600U);
  InspectNode node;
  bar->inspect(node);
  EXPECT_NE(node.child("top_offenders").child("0x88").get("reads"), "");
}

TEST(HotOffsets, NeverUndercountsAndStaysBounded) {
  HotOffsets hot;
  for (int round = 0; round < 50; ++round) {
    hot.note_write(7);
    for (std::uint64_t other = 1000; other < 1100; ++other) {
      hot.note_read(other);
    }
  }
  const auto all = hot.top(1000);
  EXPECT_EQ(all.size(), HotOffsets::kCapacity);
  for (const auto& hit : all) {
    EXPECT_GE(hit.total(), hit.error);
    if (hit.offset == 7) {
      EXPECT_GE(hit.total(), 50U);
    }
  }
}

using test::rom_image;
using testing::HasSubstr;
constexpr RomIds kGt710{0x10de, 0x128b};

std::string failure_of(const Result<std::unique_ptr<RomWindow>>& rom) {
  return rom ? std::string() : rom.error().to_string();
}

// PCI Local Bus 3.0, 6.2.5.2: the ROM's size is a power of two; what is behind the contents is
// ours to choose.
TEST(RomWindow, ReadLazilyOnceAndPadded) {
  FakePhysicalDevice device(test::gt710_config());
  FakeMemorySlots slots;
  const auto image = rom_image({.device = 0x128b, .units = 12});
  device.add_rom(image);
  const auto rom =
      std::move(
          RomWindow::create({.device = device, .slots = slots, .shown = kGt710, .real = kGt710}))
          .value();
  ASSERT_TRUE(rom);
  EXPECT_EQ(rom->size(), 0x2000U);
  EXPECT_EQ(device.count("read rom"), 1U);  // only the probe
  ASSERT_TRUE(rom->map(0xe0000000));
  rom->unmap();
  ASSERT_TRUE(rom->map(0xe1000000));
  EXPECT_EQ(device.count("read rom"), 3U);
  const auto& slot = slots.slots.begin()->second;
  EXPECT_EQ(slot.access, SlotAccess::kReadOnly);
  EXPECT_TRUE(std::equal(image.begin(), image.end(), slot.host.begin()));
  EXPECT_EQ(slot.host[0x1800], std::byte{0xff});
}

TEST(RomWindow, AbsentUnreadableHiddenGivenOrAbsurd) {
  FakePhysicalDevice device(test::gt710_config());
  FakeMemorySlots slots;
  const auto create = [&](RomSource source) {
    return RomWindow::create({.device = device,
                              .slots = slots,
                              .source = std::move(source),
                              .shown = kGt710,
                              .real = kGt710});
  };
  EXPECT_FALSE(create({}).value());
  device.add_rom(std::vector<std::byte>(0x1000, std::byte{0xff}));
  EXPECT_FALSE(create({}).value());  // no signature: the device has none behind its BAR
  device.add_rom(rom_image({}));
  EXPECT_FALSE(create({.hidden = true}).value());
  device.set_gone(true);
  EXPECT_FALSE(create({}).value());
  const auto given = std::move(create({.contents = {std::byte{0x55}}})).value();
  ASSERT_TRUE(given);
  ASSERT_TRUE(given->map(0xe0000000));
  EXPECT_EQ(slots.slots.begin()->second.host[0], std::byte{0x55});
  const auto huge = create({.contents = std::vector<std::byte>(0x1000001)});
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().kind(), ErrorKind::kConfig);
}

// Only a device that does not let its ROM be read makes us ask the host.
TEST(RomWindow, FallsBackToTheHostsCopy) {
  FakePhysicalDevice device(test::gt710_config());
  FakeMemorySlots slots;
  unsigned asked = 0;
  const auto create = [&](bool has_copy) {
    RomSource source;
    source.fallback = [&asked, has_copy]() -> Result<std::vector<std::byte>> {
      ++asked;
      if (!has_copy) {
        return fail(ErrorKind::kHost, "none");
      }
      return rom_image({.device = 0x128b});
    };
    return std::move(RomWindow::create({.device = device,
                                        .slots = slots,
                                        .source = std::move(source),
                                        .shown = kGt710,
                                        .real = kGt710}))
        .value();
  };
  EXPECT_FALSE(create(false));
  const auto copy = create(true);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->image().size(), rom_image({}).size());
  EXPECT_EQ(asked, 2U);
  device.add_rom(rom_image({.device = 0x128b, .units = 8}));
  const auto own = create(true);
  EXPECT_EQ(own->image().size(), 8U * 512);
  EXPECT_EQ(asked, 2U);
}

TEST(RomWindow, AFileMayBeFittedHere) {
  FakePhysicalDevice device(test::gt710_config());
  FakeMemorySlots slots;
  const auto create = [&](std::vector<std::byte> contents, RomCheck check) {
    return RomWindow::create(
        {.device = device,
         .slots = slots,
         .source = {.contents = std::move(contents), .unfitted_file = "card.rom", .check = check},
         .shown = kGt710,
         .real = {0x1234, 0xfa4e}});
  };
  const auto other = rom_image({.device = 0x1b80});
  const auto fitted = create(other, RomCheck::kCorrect);
  ASSERT_TRUE(fitted) << failure_of(fitted);
  EXPECT_EQ(load_le((*fitted)->image().subspan(0x46, 2)), 0x128bU);
  EXPECT_THAT(failure_of(create(other, RomCheck::kStrict)), HasSubstr("card.rom: its image"));
  EXPECT_THAT(failure_of(create(rom_image({.vendor = 0x1002}), RomCheck::kCorrect)),
              HasSubstr("card.rom: its image at 0x0 is for 1002:1b80, of another vendor"));
  EXPECT_THAT(failure_of(create({}, RomCheck::kCorrect)), HasSubstr("card.rom: The ROM is empty"));
}

TEST(RomWindow, IdsBecomeThoseThatTheGuestSees) {
  FakePhysicalDevice device(test::gt710_config());
  FakeMemorySlots slots;
  device.add_rom(rom_image({.device = 0x1b80}));
  const auto create = [&](RomCheck check) {
    return RomWindow::create({.device = device,
                              .slots = slots,
                              .source = {.check = check},
                              .shown = kGt710,
                              .real = kGt710});
  };
  const auto rom = std::move(create(RomCheck::kCorrect)).value();
  EXPECT_EQ(load_at<std::uint16_t>(rom->image(), 0x46), 0x128b);
  EXPECT_NE(failure_of(create(RomCheck::kStrict)).find("10de:1b80"), std::string::npos);
  device.add_rom(rom_image({.device = 0x128b}));
  EXPECT_EQ(failure_of(create(RomCheck::kStrict)), "");
}

}  // namespace
}  // namespace bar_mapping_test
}  // namespace gpuvm
