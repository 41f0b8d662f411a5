// SPDX-License-Identifier: Apache-2.0
// MSI-X, MSI and INTx: registers (PCI Express Base 6.0, 7.7.1, 7.7.2) and wiring.
#include <gtest/gtest.h>

#include <algorithm>

#include "devices/passthrough/function_interrupts.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"

namespace gpuvm::interrupts_test {
namespace {

using test::History;

constexpr std::uint16_t kMsiAt = 0x70;
constexpr std::uint16_t kMsixAt = 0x90;
constexpr std::uint32_t kMsixEnable = 1U << 31;
constexpr std::uint32_t kMsixMask = 1U << 30;
constexpr std::uint32_t kMsiEnable = 1U << 16;

class InterruptsTest : public ::testing::Test {
 protected:
  void make(std::uint32_t msix_vectors = 8) {
    device_.set_irq(IrqType::kIntx, 1);
    device_.set_irq(IrqType::kMsi, 8);
    device_.set_irq(IrqType::kMsix, msix_vectors);
    const auto layout = MsixLayout::parse(kMsixAt, static_cast<std::uint16_t>(msix_vectors - 1),
                                          0x1000, 0x1000 + msix_vectors * 16);
    interrupts_ = std::make_unique<FunctionInterrupts>(
        FunctionInterrupts::Options{.device = device_,
                                    .bus = bus_.bus(),
                                    .intx_pin = Gsi(16),
                                    .msi = MsiCapability(kMsiAt, 0x0186, 8),
                                    .msix = layout});
    ASSERT_TRUE(interrupts_->start());
  }
  Msix& msix() { return *interrupts_->msix(); }
  void table(std::uint64_t offset, std::uint64_t value, std::size_t size = 4) {
    std::array<std::byte, 8> bytes{};
    store_le(bytes, value);
    msix().write(0, 0x1000 + offset, std::span(bytes).first(size));
  }
  std::uint64_t table_read(std::uint64_t offset, std::size_t size = 4) {
    std::array<std::byte, 8> bytes{};
    msix().read(0, 0x1000 + offset, std::span(bytes).first(size));
    return load_le(std::span(bytes).first(size));
  }
  void program(std::uint32_t vector, std::uint32_t data) {
    table(vector * 16U, 0xfee01000);
    table(vector * 16U + 4, 0);
    table(vector * 16U + 8, data);
    table(vector * 16U + 12, 0);
  }
  void control(std::uint16_t at, std::uint32_t value) {
    interrupts_->config_write(at, value, 0xffff0000);
  }

  test::FakePhysicalDevice device_{test::upd720200_config()};
  test::FakeGuestBus bus_;
  test::FakeMsiController& controller_ = bus_.msi;
  test::FakeInterruptPins& pins_ = bus_.pins;
  std::unique_ptr<FunctionInterrupts> interrupts_;
};

TEST_F(InterruptsTest, EnableGoesFromIntxToMsixAndBack) {
  make();
  EXPECT_TRUE(pins_.connected);
  control(kMsixAt, kMsixEnable);
  EXPECT_FALSE(pins_.connected);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsix].size(), 8U);
  control(kMsixAt, 0);
  EXPECT_TRUE(pins_.connected);
  EXPECT_EQ(device_.history, (History{"irqs intx 0+1", "unmask fd", "disable intx", "irqs msix 0+8",
                                      "disable msix", "irqs intx 0+1", "unmask fd"}));
}

// A guest switches between them as fast as it can, and a server of vfio-user may refuse anything.
TEST_F(InterruptsTest, RefusalsToDisableDoNotFloodTheLog) {
  make();
  device_.refuses_disable = true;
  testing::internal::CaptureStderr();
  for (unsigned i = 0; i < 200; ++i) {
    control(kMsixAt, kMsixEnable);
    control(kMsixAt, 0);
  }
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("Cannot disable INTx"), std::string::npos);
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 100);
  EXPECT_TRUE(pins_.connected);
}

TEST_F(InterruptsTest, VectorIsRoutedOnlyWhileUnmasked) {
  make();
  program(3, 0x41);
  EXPECT_TRUE(controller_.routes.empty());  // MSI-X is off
  control(kMsixAt, kMsixEnable);
  ASSERT_EQ(controller_.routes.size(), 1U);
  EXPECT_EQ(controller_.routes.begin()->second.second, (MsiMessage{0xfee01000, 0x41}));
  EXPECT_EQ(controller_.routes.begin()->second.first, device_.irq_fds[IrqType::kMsix][3]);
  table(3 * 16 + 12, 1);
  EXPECT_TRUE(controller_.routes.empty());
  table(3 * 16 + 12, 0);
  EXPECT_EQ(controller_.routes.size(), 1U);
  control(kMsixAt, kMsixEnable | kMsixMask);
  EXPECT_TRUE(controller_.routes.empty());
  control(kMsixAt, kMsixEnable);
  EXPECT_EQ(controller_.routes.size(), 1U);
}

TEST_F(InterruptsTest, SameMessageCostsNothing) {
  make();
  program(0, 0x41);
  control(kMsixAt, kMsixEnable);
  controller_.history.clear();
  program(0, 0x41);
  control(kMsixAt, kMsixEnable);
  EXPECT_TRUE(controller_.history.empty());
  table(8, 0x42);
  EXPECT_EQ(controller_.history, (History{"update 0xfee01000 0x42"}));
}

// 6.1.4.5: while masked, a vector that would send sets its pending bit.
TEST_F(InterruptsTest, MaskedVectorPends) {
  make();
  program(2, 0x41);
  control(kMsixAt, kMsixEnable);
  table(2 * 16 + 12, 1);
  EXPECT_EQ(table_read(8 * 16, 8), 0U);
  device_.fire(IrqType::kMsix, 2);
  EXPECT_EQ(table_read(8 * 16, 8), 4U);
  EXPECT_EQ(table_read(8 * 16), 4U);
  table(2 * 16 + 12, 0);  // the same eventfd, with its signal, goes to the controller
  ASSERT_EQ(controller_.routes.size(), 1U);
  EXPECT_EQ(controller_.routes.begin()->second.first, device_.irq_fds[IrqType::kMsix][2]);
}

TEST_F(InterruptsTest, ManyVectorsGrowByDoubling) {
  make(2048);
  control(kMsixAt, kMsixEnable);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsix].size(), 64U);
  program(63, 1);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsix].size(), 64U);
  program(64, 2);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsix].size(), 128U);
  program(1500, 3);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsix].size(), 2048U);
  EXPECT_EQ(controller_.routes.size(), 3U);
}

TEST_F(InterruptsTest, GrowthFailureKeepsWhatWorked) {
  make(128);
  program(0, 1);
  control(kMsixAt, kMsixEnable);
  device_.fail_irqs = true;
  program(100, 2);
  EXPECT_EQ(controller_.routes.size(), 1U);
  device_.fail_irqs = false;
  program(101, 3);
  EXPECT_EQ(controller_.routes.size(), 2U);
}

TEST_F(InterruptsTest, TableAtEveryOffsetAndWidth) {
  make();
  control(kMsixAt, kMsixEnable);
  for (std::uint64_t offset = 0; offset <= 8 * 16 + 8; ++offset) {
    for (const std::size_t size : {1U, 2U, 4U, 8U}) {
      table(offset, ~0ULL, size);
      table_read(offset, size);
    }
  }
  for (std::uint32_t vector = 0; vector < 8; ++vector) {
    EXPECT_EQ(table_read(vector * 16U + 12), 1U);  // only bit 0 is writable
    EXPECT_EQ(table_read(vector * 16U) & 3, 0U);
  }
  EXPECT_EQ(table_read(8 * 16, 8), 0U);  // pending bits are read-only
  table(12, 0);                          // unmasked with a garbage address
  EXPECT_TRUE(controller_.routes.empty());
}

TEST_F(InterruptsTest, ParseRefusesNonsense) {
  EXPECT_FALSE(MsixLayout::parse(0x90, 7, 0x1006, 0x2000));  // BAR 6
  EXPECT_FALSE(MsixLayout::parse(0x90, 7, 0x1000, 0x1040));  // overlap
  const auto layout = MsixLayout::parse(0x90, 0xffff, 0xb90000, 0xba0000);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->vectors, 2048U);
  EXPECT_EQ(trapped_pages(*layout, 0)->size, 0x8000U);
  EXPECT_FALSE(trapped_pages(*layout, 1));
}

TEST_F(InterruptsTest, MsiMultiMessageAndMask) {
  make();
  interrupts_->config_write(0x74, 0xfee02003, ~0U);
  interrupts_->config_write(0x7c, 0xffff0047, ~0U);
  interrupts_->config_write(0x80, 2, ~0U);  // vector 1 masked
  control(kMsiAt, kMsiEnable | 2U << 20);   // 4 vectors
  EXPECT_EQ(device_.irq_fds[IrqType::kMsi].size(), 4U);
  EXPECT_EQ(controller_.history, (History{"connect 0xfee02000 0x44", "connect 0xfee02000 0x46",
                                          "connect 0xfee02000 0x47"}));
  device_.fire(IrqType::kMsi, 1);
  EXPECT_EQ(interrupts_->config_read(0x84, 0), 2U);
  interrupts_->config_write(0x80, 0, ~0U);
  EXPECT_EQ(controller_.history.back(), "connect 0xfee02000 0x45");
  control(kMsiAt, kMsiEnable | 5U << 20);  // 7.7.1.2: not while enabled
  EXPECT_EQ(device_.irq_fds[IrqType::kMsi].size(), 4U);
}

TEST_F(InterruptsTest, MsiHeaderShowsHardwareIdAndOurControl) {
  make();
  EXPECT_EQ(interrupts_->config_read(0x70, 0xdead9005), 0x01869005U);
  EXPECT_EQ(MsiCapability(0x70, 0x0186, 1).read(0x70, 0x9005, 0), 0x01809005U);  // host has one
  control(kMsiAt, 7U << 20);  // more than capable
  EXPECT_EQ(interrupts_->config_read(0x70, 0x9005) >> 20 & 7, 3U);
}

TEST_F(InterruptsTest, BothEnabledIsMsix) {
  make();
  control(kMsiAt, kMsiEnable);
  control(kMsixAt, kMsixEnable);
  EXPECT_TRUE(device_.irq_fds[IrqType::kMsi].empty());
  EXPECT_EQ(device_.irq_fds[IrqType::kMsix].size(), 8U);
  control(kMsixAt, 0);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsi].size(), 1U);
}

TEST_F(InterruptsTest, InterruptDisableMasksIntxAlsoLater) {
  make();
  device_.history.clear();
  interrupts_->set_intx_masked(true);
  control(kMsiAt, kMsiEnable);
  control(kMsiAt, 0);
  interrupts_->set_intx_masked(false);
  // An end of interrupt meanwhile must not unmask it: it is not connected.
  EXPECT_EQ(device_.history,
            (History{"no unmask fd", "mask intx", "disable intx", "irqs msi 0+1", "disable msi",
                     "irqs intx 0+1", "mask intx", "unmask fd", "unmask intx"}));
}

TEST_F(InterruptsTest, StopThenResetIsFresh) {
  make();
  program(0, 0x41);
  control(kMsixAt, kMsixEnable);
  interrupts_->stop();
  EXPECT_TRUE(controller_.routes.empty());
  EXPECT_TRUE(device_.irq_fds.empty() || device_.irq_fds[IrqType::kMsix].empty());
  program(1, 0x42);  // a late access of a vCPU
  EXPECT_TRUE(controller_.routes.empty());
  interrupts_->reset_registers();
  ASSERT_TRUE(interrupts_->start());
  EXPECT_TRUE(pins_.connected);
  EXPECT_EQ(table_read(12), 1U);
  EXPECT_EQ(table_read(0), 0U);
}

// Without DisINTx the host must have the line for itself; QEMU refuses as well.
TEST_F(InterruptsTest, OnlyTypeThatCannotBeConnectedIsAnError) {
  device_.set_irq(IrqType::kIntx, 1);
  device_.fail_irqs = true;
  interrupts_ =
      std::make_unique<FunctionInterrupts>(FunctionInterrupts::Options{.device = device_,
                                                                       .bus = bus_.bus(),
                                                                       .intx_pin = Gsi(16),
                                                                       .msi = std::nullopt,
                                                                       .msix = std::nullopt});
  const auto started = interrupts_->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(), "No vectors");
  EXPECT_FALSE(pins_.connected);
  device_.fail_irqs = false;
  EXPECT_TRUE(interrupts_->start());
  EXPECT_TRUE(pins_.connected);
}

TEST_F(InterruptsTest, WithMsiAFailureOfIntxIsAWarning) {
  device_.fail_irqs = true;
  testing::internal::CaptureStderr();
  make();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("A guest whose driver uses no MSI gets no interrupts: No vectors"),
            std::string::npos)
      << said;
  device_.fail_irqs = false;
  control(kMsiAt, kMsiEnable);
  EXPECT_EQ(device_.irq_fds[IrqType::kMsi].size(), 1U);
}

TEST_F(InterruptsTest, FailureToEnableIsSurvived) {
  make();
  device_.fail_irqs = true;
  control(kMsixAt, kMsixEnable);
  EXPECT_FALSE(pins_.connected);
  device_.fail_irqs = false;
  control(kMsixAt, 0);
  EXPECT_TRUE(pins_.connected);
}

}  // namespace
}  // namespace gpuvm::interrupts_test
