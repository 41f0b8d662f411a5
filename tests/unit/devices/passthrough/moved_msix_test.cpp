// SPDX-License-Identifier: Apache-2.0
// A function whose MSI-X table the guest sees in another place, over the fake device: what the
// registers say, what the table does there, and what the guest reaches directly where it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"

namespace gpuvm::moved_msix_test {
namespace {

using test::FakePhysicalDevice;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr MsixRelocation kAuto{.mode = MsixRelocation::Mode::kAuto};
constexpr MsixRelocation in_bar(unsigned bar) {
  return {.mode = MsixRelocation::Mode::kBar, .bar = bar};
}

class MovedMsixTest : public test::FunctionTest {
 protected:
  static constexpr std::uint64_t kBar0 = 0xe0000000;
  static constexpr std::uint64_t kNew = 0xe0100000;

  // BAR 0 is of 64 bits and 8 KiB, the table at 0x1000 of it, 8 vectors, FLR at a8.
  MovedMsixTest() {
    xhci_.add_bar(0, 0x2000);
    xhci_.set_irq(IrqType::kIntx, 1);
    xhci_.set_irq(IrqType::kMsix, 8);
  }
  Result<std::unique_ptr<PassthroughFunction>> try_make(const MsixRelocation& wanted) {
    auto with = options(xhci_, "usb0");
    with.view.msix_relocation = wanted;
    return create(std::move(with));
  }
  std::unique_ptr<PassthroughFunction> make(const MsixRelocation& wanted) {
    auto function = try_make(wanted).value();
    EXPECT_TRUE(function->start());
    EXPECT_TRUE(function->bars().set_power_on_address(0, kBar0));
    return function;
  }
  std::string error(const MsixRelocation& wanted) {
    const auto made = try_make(wanted);
    if (made) {
      return {};
    }
    EXPECT_EQ(made.error().kind(), ErrorKind::kConfig);
    return made.error().to_string();
  }
  static void write(PciFunction& function, std::uint16_t offset, std::uint32_t value) {
    function.config_write(offset, value, ~0U);
  }
  static std::uint32_t sized(PciFunction& function, std::uint16_t offset) {
    const auto before = function.config_read(offset);
    write(function, offset, ~0U);
    const auto size = function.config_read(offset);
    write(function, offset, before);
    return size;
  }
  void store(std::uint64_t at, std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    mmio_.write(GuestAddress(at), bytes);
  }
  std::uint32_t load(std::uint64_t at) {
    std::array<std::byte, 4> bytes{};
    mmio_.read(GuestAddress(at), bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }
  void set_vector(std::uint64_t entry, std::uint32_t data) {
    store(entry, 0xfee01000);
    store(entry + 4, 0);
    store(entry + 8, data);
    store(entry + 12, 0);
  }
  /// Bytes that the guest reaches without exits from `at` on, in one slot.
  std::uint64_t direct_at(std::uint64_t at) const {
    for (const auto& [id, slot] : slots_.slots) {
      if (slot.at.value() == at) {
        return slot.host.size();
      }
    }
    return 0;
  }

  FakePhysicalDevice xhci_{test::upd720200_config()};
};

TEST_F(MovedMsixTest, OffTrapsTheTablesPage) {
  const auto xhci = make({});
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(direct_at(kBar0), 0x1000U);
  EXPECT_EQ(xhci->config_read(0x94), 0x1000U);
  EXPECT_EQ(xhci->config_read(0x98), 0x1080U);
}

TEST_F(MovedMsixTest, ANewBarTakesTheTable) {
  const auto xhci = make(in_bar(4));
  EXPECT_EQ(xhci->config_read(0x94), 0x4U);
  EXPECT_EQ(xhci->config_read(0x98), 0x84U);
  EXPECT_EQ(sized(*xhci, 0x20), 0xfffff000U);
  EXPECT_EQ(sized(*xhci, 0x10), 0xffffe004U) << "as it was";
  EXPECT_EQ(sized(*xhci, 0x24), 0U);
  ASSERT_TRUE(xhci->bars().set_power_on_address(4, kNew));
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(direct_at(kBar0), 0x2000U) << "all of it, with the hardware's table";
  EXPECT_EQ(slots_.slots.size(), 1U);
  set_vector(kNew + 16, 0x41);
  EXPECT_TRUE(controller_.routes.empty());
  write(*xhci, 0x90, 0x80000000);
  ASSERT_EQ(controller_.routes.size(), 1U);
  EXPECT_EQ(controller_.routes.begin()->second.second.data, 0x41U);
  set_vector(kNew + 32, 0x42);
  EXPECT_EQ(controller_.routes.size(), 2U);
  EXPECT_EQ(load(kNew + 32 + 8), 0x42U);
  EXPECT_EQ(load(kNew + 0x80), 0U) << "no pending bit";
  EXPECT_TRUE(xhci_.bar_sizes.empty()) << "nothing of that reached the hardware's BARs";
}

TEST_F(MovedMsixTest, WhatIsBesideTheTableIsNothing) {
  const auto xhci = make(in_bar(4));
  ASSERT_TRUE(xhci->bars().set_power_on_address(4, kNew));
  xhci->config_write(4, 6, 0xffff);
  for (const std::uint64_t at : {0x88U, 0x100U, 0xffcU}) {
    store(kNew + at, 0x1234);
    EXPECT_EQ(load(kNew + at), ~0U) << at;
  }
  std::array<std::byte, 8> crossing{};
  mmio_.read(GuestAddress(kNew + 0x84), crossing);  // over the end of the pending bits
  mmio_.write(GuestAddress(kNew + 0x84), crossing);
  EXPECT_TRUE(xhci_.bar_sizes.empty());
}

TEST_F(MovedMsixTest, ADoubledBarHasTheTableInItsUpperHalf) {
  const auto xhci = make(in_bar(0));
  EXPECT_EQ(xhci->config_read(0x94), 0x2000U);
  EXPECT_EQ(xhci->config_read(0x98), 0x2080U);
  EXPECT_EQ(sized(*xhci, 0x10), 0xffffc004U);
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(direct_at(kBar0), 0x2000U);
  set_vector(kBar0 + 0x2000, 0x43);
  write(*xhci, 0x90, 0x80000000);
  ASSERT_EQ(controller_.routes.size(), 1U);
  store(kBar0 + 0x3000, 1);
  EXPECT_EQ(load(kBar0 + 0x3000), ~0U);
  EXPECT_TRUE(xhci_.bar_sizes.empty());
}

TEST_F(MovedMsixTest, TheGuestCannotWriteThePlaces) {
  const auto xhci = make(in_bar(4));
  const auto writes = xhci_.count("config");
  write(*xhci, 0x94, 0x1000);
  write(*xhci, 0x98, 0x1080);
  EXPECT_EQ(xhci->config_read(0x94), 0x4U);
  EXPECT_EQ(xhci->config_read(0x98), 0x84U);
  EXPECT_EQ(xhci_.count("config"), writes);
}

TEST_F(MovedMsixTest, ResetsEmptyTheTableAndKeepItsPlace) {
  const auto xhci = make(in_bar(4));
  ASSERT_TRUE(xhci->bars().set_power_on_address(4, kNew));
  xhci->config_write(4, 6, 0xffff);
  set_vector(kNew, 0x41);
  write(*xhci, 0x90, 0x80000000);
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);  // 6.6.2
  EXPECT_TRUE(controller_.routes.empty());
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_EQ(xhci->config_read(0x20), 0U);
  EXPECT_EQ(xhci->config_read(0x94), 0x4U);
  write(*xhci, 0x10, kBar0);
  write(*xhci, 0x20, kNew + 0x1000);
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(direct_at(kBar0), 0x2000U);
  EXPECT_EQ(load(kNew + 0x1008), 0U);
  EXPECT_EQ(load(kNew + 0x100c), 1U) << "masked, as out of a reset";
  xhci->quiesce();
  ASSERT_TRUE(xhci->reset());
  EXPECT_EQ(xhci->bars().address(4), kNew) << "as at power-on";
  EXPECT_EQ(xhci->config_read(0x94), 0x4U);
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(load(kNew + 12), 1U);
}

TEST_F(MovedMsixTest, AutoTakesTheFirstFreeNumber) {
  const auto xhci = make(kAuto);
  EXPECT_EQ(xhci->config_read(0x94), 0x2U);
  EXPECT_EQ(sized(*xhci, 0x18), 0xfffff000U);
  InspectNode node;
  xhci->inspect(node);
  const auto& msix = node.child("interrupts").child("msix");
  EXPECT_EQ(msix.get("table"), "8 entries in BAR 2 at 0x0");
  EXPECT_EQ(msix.get("hardware_table"), "BAR 0 at 0x1000");
  EXPECT_EQ(node.child("bars").child("bar0").get("without_exits"), "0x2000");
}

TEST_F(MovedMsixTest, AutoLeavesWhatTheHostKeeps) {
  xhci_.edit_region(0).msix_mappable = false;
  const auto xhci = make(kAuto);
  EXPECT_EQ(xhci->config_read(0x94), 0x1000U);
  EXPECT_EQ(sized(*xhci, 0x18), 0U);
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(direct_at(kBar0), 0x1000U);
}

TEST_F(MovedMsixTest, SparseAreasOverTheTableAreLeave) {
  xhci_.edit_region(0).msix_mappable = false;
  xhci_.edit_region(0).sparse_areas = {{0x1000, 0x1000}};
  const auto xhci = make(in_bar(4));
  xhci->config_write(4, 6, 0xffff);
  EXPECT_EQ(direct_at(kBar0 + 0x1000), 0x1000U);
  EXPECT_EQ(slots_.slots.size(), 1U);
}

TEST_F(MovedMsixTest, ErrorsNameFunctionKeyAndCure) {
  constexpr const char* kPrefix = "pci.msix_relocation of usb0: ";
  EXPECT_THAT(error(in_bar(1)), AllOf(StartsWith(kPrefix), HasSubstr("choose another BAR")));
  xhci_.edit_region(0).msix_mappable = false;
  EXPECT_THAT(error(in_bar(4)), AllOf(StartsWith(kPrefix), HasSubstr("leave the key out")));
  xhci_.set_irq(IrqType::kMsix, 4);  // fewer than the capability has: hidden from the guest
  EXPECT_THAT(error(in_bar(4)), AllOf(StartsWith(kPrefix), HasSubstr("has no MSI-X")));
  EXPECT_EQ(error(kAuto), "");
}

TEST_F(MovedMsixTest, ACapabilityThatIsCutOffIsNone) {
  auto config = test::upd720200_config();
  store_le(std::span(config).subspan(0x70, 4), 0x0186f805);  // MSI leads to f8
  store_le(std::span(config).subspan(0xf8, 4), 0x00070011);
  store_le(std::span(config).subspan(0xfc, 4), 0x00001000);
  FakePhysicalDevice device(config);
  device.add_bar(0, 0x2000);
  device.set_irq(IrqType::kMsix, 8);
  EXPECT_FALSE(FunctionFacts::read(device).value().msix);
}

}  // namespace
}  // namespace gpuvm::moved_msix_test
