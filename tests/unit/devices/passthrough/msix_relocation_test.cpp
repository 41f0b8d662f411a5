// SPDX-License-Identifier: Apache-2.0
// Where the guest sees an MSI-X table: the decision over made-up functions. PCI Express
// Base 6.0, 7.7.2.3: "Table BIR: Indicates which one of a Function's Base Address registers,
// located beginning at 10h in Configuration Space […] is used to map the Function's MSI-X Table
// into Memory Space."
#include "devices/passthrough/msix_relocation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/base/units.hpp"

namespace gpuvm::msix_relocation_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr MsixRelocation kAuto{.mode = MsixRelocation::Mode::kAuto};
constexpr MsixRelocation in_bar(unsigned bar) {
  return {.mode = MsixRelocation::Mode::kBar, .bar = bar};
}

class MsixPlanTest : public ::testing::Test {
 protected:
  // 64-bit registers with the table in the middle, a 64-bit window, I/O ports; BAR 5 is free.
  MsixPlanTest() {
    add(0, BarKind::kMemory64, 64_KiB);
    add(2, BarKind::kMemory64, 256_MiB);
    add(4, BarKind::kIo, 128);
    around_.layout = MsixLayout::parse(0x70, 15, 0x2000, 0x2800);
  }
  void add(unsigned bar, BarKind kind, std::uint64_t size) {
    around_.bars.at(bar) = BarDescription{.kind = kind, .size = size};
    around_.regions.at(bar) = {.size = size,
                               .readable = true,
                               .writable = true,
                               .mappable = kind != BarKind::kIo,
                               .msix_mappable = true};
  }
  MsixPlan plan(const MsixRelocation& wanted) {
    const auto planned = plan_msix(wanted, around_);
    EXPECT_TRUE(planned) << (planned ? "" : planned.error().to_string());
    return planned ? *planned : MsixPlan{};
  }
  std::string error(unsigned bar) {
    const auto planned = plan_msix(in_bar(bar), around_);
    if (planned) {
      return {};
    }
    EXPECT_EQ(planned.error().kind(), ErrorKind::kConfig);
    return planned.error().to_string();
  }
  /// Why "auto" leaves the table where it is.
  std::string stays() {
    const auto planned = plan(kAuto);
    EXPECT_FALSE(planned.home);
    EXPECT_EQ(planned.shown.has_value(), around_.layout.has_value());
    if (planned.shown && around_.layout) {
      EXPECT_EQ(place_of_table(*planned.shown), place_of_table(*around_.layout));
    }
    return planned.reason;
  }
  MsixSurroundings around_;
};

TEST_F(MsixPlanTest, OffLeavesItWhereItIs) {
  const auto planned = plan({});
  EXPECT_FALSE(planned.home);
  EXPECT_EQ(place_of_table(*planned.shown), "BAR 0 at 0x2000");
  EXPECT_THAT(planned.effect, StartsWith("none"));
}

TEST_F(MsixPlanTest, AutoTakesANumberWithoutABar) {
  const auto planned = plan(kAuto);
  ASSERT_TRUE(planned.home);
  EXPECT_EQ(planned.home->bar, 5U);
  EXPECT_TRUE(planned.home->is_new);
  EXPECT_EQ(planned.home->description,
            (BarDescription{.kind = BarKind::kMemory32, .size = 4_KiB, .prefetchable = false}));
  EXPECT_EQ(planned.shown->table_bar, 5U);
  EXPECT_EQ(planned.shown->table_offset, 0U);
  EXPECT_EQ(planned.shown->pending_bar, 5U);
  EXPECT_EQ(planned.shown->pending_offset, 0x100U);
  EXPECT_EQ(planned.shown->vectors, 16U);
  EXPECT_EQ(planned.shown->offset, 0x70U);
  EXPECT_EQ(planned.effect,
            "0x1000 bytes of BAR 0 at 0x2000 without exits; the guest sees the table in BAR 5 at "
            "0x0, a new BAR of 0x1000 bytes");
}

TEST_F(MsixPlanTest, AutoDoublesTheSmallestMemoryBarWhereNoneIsFree) {
  add(5, BarKind::kMemory32, 512);
  auto planned = plan(kAuto);
  ASSERT_TRUE(planned.home);
  EXPECT_EQ(planned.home->bar, 5U);
  EXPECT_FALSE(planned.home->is_new);
  EXPECT_EQ(planned.home->description.size, 8_KiB) << "pages of their own";
  EXPECT_EQ(planned.shown->table_offset, 4_KiB);
  add(5, BarKind::kIo, 128);
  planned = plan(kAuto);
  EXPECT_EQ(planned.home->bar, 0U);
  EXPECT_EQ(planned.home->description,
            (BarDescription{.kind = BarKind::kMemory64, .size = 128_KiB}));
  EXPECT_EQ(planned.shown->table_offset, 64_KiB);
  EXPECT_EQ(planned.shown->pending_offset, 64_KiB + 0x100);
  around_.coherent_bar = 2;
  around_.layout = MsixLayout::parse(0x70, 15, 0x2002, 0x2800);
  EXPECT_EQ(stays(), "the table is in coherent_memory");
}

TEST_F(MsixPlanTest, TheLargestTableHasRoom) {
  around_.layout = MsixLayout::parse(0x70, 0x7ff, 0x0, 0x8000);
  auto planned = plan(in_bar(5));
  EXPECT_EQ(planned.home->description.size, 64_KiB);  // 32 KiB and 256 bytes
  EXPECT_EQ(planned.shown->pending_offset, 32_KiB);
  add(5, BarKind::kMemory32, 4_KiB);
  planned = plan(in_bar(5));
  EXPECT_EQ(planned.home->description.size, 128_KiB);
  EXPECT_EQ(planned.shown->table_offset, 64_KiB);
}

TEST_F(MsixPlanTest, AutoKnowsWhenThereIsNothingToGain) {
  around_.layout.reset();
  EXPECT_EQ(stays(), "the function has no MSI-X");
  add(5, BarKind::kMemory32, 8_KiB);
  around_.layout = MsixLayout::parse(0x70, 15, 0x5, 0x1005);  // a BAR for both
  EXPECT_EQ(stays(), "nothing else is in the table's pages");
  around_.layout = MsixLayout::parse(0x70, 15, 0x1005, 0x5);
  EXPECT_EQ(stays(), "nothing else is in the table's pages");
  around_.layout = MsixLayout::parse(0x70, 255, 0x2000, 0x8000);  // whole pages
  EXPECT_EQ(stays(), "nothing else is in the table's pages");
  around_.layout = MsixLayout::parse(0x70, 15, 0x5, 0x8000);  // more pages follow in BAR 5
  EXPECT_TRUE(plan(kAuto).home);
}

TEST_F(MsixPlanTest, WithoutTheHostsLeave) {
  auto& region = around_.regions[0];
  region.msix_mappable = false;
  EXPECT_THAT(stays(), HasSubstr("VFIO_REGION_INFO_CAP_MSIX_MAPPABLE"));
  EXPECT_THAT(error(5), AllOf(HasSubstr("VFIO_REGION_INFO_CAP_MSIX_MAPPABLE"),
                              HasSubstr("leave the key out")));
  region.sparse_areas = {{0, 0x2000}, {0x3000, 0xd000}};
  EXPECT_NE(stays(), "");
  region.sparse_areas = {{0x2000, 0xe000}, {0, 0x2000}};
  EXPECT_TRUE(plan(kAuto).home);
  region.sparse_areas = {{0, 0x2800}, {0x2800, 0xd800}};  // the page is in neither
  EXPECT_NE(stays(), "");
  region.msix_mappable = true;
  EXPECT_NE(error(5), "");
  region.sparse_areas.clear();
  region.mappable = false;
  EXPECT_NE(error(5), "");
}

TEST_F(MsixPlanTest, BarsThatCannotBe) {
  constexpr const char* kCure = "choose another BAR, \"auto\" or \"off\"";
  EXPECT_THAT(error(1), AllOf(HasSubstr("upper half of the 64-bit BAR 0"), HasSubstr(kCure)));
  EXPECT_THAT(error(4), AllOf(HasSubstr("BAR 4 has I/O ports"), HasSubstr(kCure)));
  EXPECT_THAT(error(6), HasSubstr("no BAR 6"));
  around_.coherent_bar = 2;
  EXPECT_THAT(error(2), AllOf(HasSubstr("BAR 2 is coherent_memory"), HasSubstr(kCure)));
  EXPECT_THAT(error(3), HasSubstr("upper half of the 64-bit BAR 2"));
  around_.coherent_bar = 0;
  EXPECT_THAT(error(5), HasSubstr("The table is in coherent_memory"));
  around_.layout.reset();
  EXPECT_THAT(error(5), HasSubstr("has no MSI-X; leave the key out"));
}

TEST_F(MsixPlanTest, BarsThatAreTooLarge) {
  add(2, BarKind::kMemory64, 2_GiB);
  EXPECT_EQ(error(2), "");
  EXPECT_EQ(plan(in_bar(2)).shown->table_offset, 2_GiB);
  add(2, BarKind::kMemory64, 4_GiB);  // its upper half begins behind 32-bit offsets
  EXPECT_THAT(error(2), HasSubstr("too large to be doubled"));
  add(5, BarKind::kMemory32, 1_GiB);
  EXPECT_EQ(error(5), "");
  add(5, BarKind::kMemory32, 2_GiB);
  EXPECT_THAT(error(5), HasSubstr("too large to be doubled"));
  add(0, BarKind::kMemory64, std::uint64_t{1} << 52);
  EXPECT_EQ(stays(), "no BAR is free or can be doubled");
}

TEST_F(MsixPlanTest, InspectShowsBothPlaces) {
  InspectNode node;
  plan(kAuto).inspect(node);
  EXPECT_EQ(node.get("on"), "true");
  EXPECT_EQ(node.get("hardware_table"), "BAR 0 at 0x2000");
  EXPECT_EQ(node.get("guest_table"), "BAR 5 at 0x0");
  EXPECT_NE(node.get("effect"), "");
}

}  // namespace
}  // namespace gpuvm::msix_relocation_test
