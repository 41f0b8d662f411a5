// SPDX-License-Identifier: Apache-2.0
// PassthroughFunction: what a guest's power states, function level resets and bus resets do to the
// fake device, and what the guest sees meanwhile and afterwards.
#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <thread>

#include "tests/unit/devices/passthrough/passthrough_function_fixture.hpp"

namespace gpuvm::passthrough_function_reset_test {
namespace {

using PassthroughFunctionResetTest = test::PassthroughFunctionTest;

// 5.3.1.4: memory does not answer in D3hot, and the host zaps its mappings.
TEST_F(PassthroughFunctionResetTest, SlotsAreGoneBeforeD3AndBackAfter) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  std::size_t at_write = 99;
  std::uint32_t read_meanwhile = 0;
  gpu_.on_config_write = [&](std::uint64_t offset, std::uint64_t) {
    if (offset == 0x64) {
      at_write = slots_.slots.size();
      read_meanwhile = gpu->config_read(0);  // must not deadlock: no lock is held
    }
  };
  gpu->config_write(0x64, 3, 0xffff);
  EXPECT_EQ(at_write, 0U);
  EXPECT_EQ(read_meanwhile, 0xffffffffU);
  command(*gpu, 0);
  command(*gpu, 7);
  EXPECT_TRUE(slots_.slots.empty());  // decode means nothing in D3hot
  gpu->config_write(0x64, 0, 0xffff);
  EXPECT_EQ(at_write, 0U);
  EXPECT_EQ(slots_.slots.size(), 3U);
  EXPECT_EQ(gpu->config_read(0), 0x128b10deU);
}

// 7.5.2.2: a write of a state that the function does not support is discarded.
TEST_F(PassthroughFunctionResetTest, UnsupportedPowerStateLeavesTheGuestItsMemory) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  gpu_.ignored_write = 0x64;
  gpu->config_write(0x64, 1, 0xffff);
  EXPECT_EQ(slots_.slots.size(), 3U);
  command(*gpu, 7);
  EXPECT_EQ(slots_.slots.size(), 3U);
}

TEST_F(PassthroughFunctionResetTest, PmeStatusIsNoChangeOfPowerState) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  gpu->config_write(0x64, 0x8000, 0xffff);
  EXPECT_EQ(slots_.history.size(), 3U);
}

// 6.6.2: a function level reset clears the BARs and the Command register.
TEST_F(PassthroughFunctionResetTest, FunctionLevelReset) {
  const auto xhci = make(xhci_);
  ASSERT_TRUE(xhci->bars().set_power_on_address(0, 0xe0000000));
  xhci->bars().reset();
  command(*xhci, 6);
  write(*xhci, 0x90, 0x80000000);
  write(*xhci, 0x3c, 0x0b);
  std::size_t at_reset = 99;
  xhci_.on_function_reset = [&] {
    at_reset = slots_.slots.size();
    EXPECT_TRUE(xhci_.irq_fds[IrqType::kMsix].empty());
    return Status();
  };
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  EXPECT_EQ(at_reset, 0U);
  EXPECT_EQ(xhci_.count("config 0xa8"), 0U);  // the host does it, and says whether it did
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_EQ(xhci->config_read(0x10), 4U);
  EXPECT_EQ(xhci->config_read(4) & 0x407, 0U);
  EXPECT_EQ(xhci->config_read(0x3c) & 0xff, 0U);
  EXPECT_EQ(xhci->config_read(0x90) >> 31, 0U);
  EXPECT_TRUE(pins_.connected);
  EXPECT_EQ(xhci_.config_dword(4) & 2, 2U);
  write(*xhci, 0x10, 0xe0000000);
  command(*xhci, 6);
  EXPECT_TRUE(slots_.has(0xe0000000));
}

// The check runs while the guest cannot reach the function, and without a lock.
TEST_F(PassthroughFunctionResetTest, FunctionThatIsNotWellAfterItsResetStaysAway) {
  const auto xhci = make(xhci_);
  std::vector<GuestReset::Kind> resets;
  after_reset_ = [&](const GuestReset& reset) {
    resets.push_back(reset.kind);
    EXPECT_FALSE(reset.refusal);
    EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
    EXPECT_FALSE(pins_.connected);
    return resets.size() > 1;
  };
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  EXPECT_EQ(resets, std::vector{GuestReset::Kind::kFunctionLevel});
  EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
  EXPECT_FALSE(pins_.connected);
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);  // nobody hears that
  EXPECT_EQ(resets.size(), 1U);
  xhci->bus_reset_begin();
  xhci->bus_reset_end(true);
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  EXPECT_EQ(resets.size(), 2U);
  EXPECT_EQ(xhci->config_read(0), 0x01941033U);
}

/// Memory may be short: who waits for the function, and its lock, must not wait for ever.
TEST_F(PassthroughFunctionResetTest, WhatIsThrownMeanwhileIsAResetThatDidNotHelp) {
  const auto xhci = make(xhci_);
  after_reset_ = [](const GuestReset&) -> bool { throw std::bad_alloc(); };
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
  xhci->bus_reset_begin();
  xhci->bus_reset_end(true);
  EXPECT_EQ(xhci->config_read(0), 0x01941033U);
}

TEST_F(PassthroughFunctionResetTest, TheWayFromD3hotToD0IsAResetAndNoOther) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  std::vector<GuestReset::Kind> resets;
  bool is_well = true;
  after_reset_ = [&](const GuestReset& reset) {
    resets.push_back(reset.kind);
    return is_well;
  };
  for (const std::uint32_t state : {1U, 0U, 3U}) {
    gpu->config_write(0x64, state, 0xffff);
  }
  EXPECT_TRUE(resets.empty());
  gpu->config_write(0x64, 0, 0xffff);
  EXPECT_EQ(resets, std::vector{GuestReset::Kind::kPowerUp});
  EXPECT_EQ(slots_.slots.size(), 3U);
  is_well = false;
  gpu->config_write(0x64, 3, 0xffff);
  gpu->config_write(0x64, 0, 0xffff);
  EXPECT_EQ(resets.size(), 2U);
  EXPECT_EQ(gpu->config_read(0), 0xffffffffU);
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_FALSE(pins_.connected);
  EXPECT_EQ(gpu_.config_dword(4) & 7, 0U);  // no DMA of a device that nobody can stop any more
}

TEST_F(PassthroughFunctionResetTest, AResetThatTheHostRefusesLosesTheFunction) {
  const auto xhci = make(xhci_);
  command(*xhci, 6);
  xhci_.on_function_reset = [] { return Status(fail(ErrorKind::kHost, "Busy ten times")); };
  std::string refusal;
  after_reset_ = [&](const GuestReset& reset) {
    refusal = reset.refusal ? reset.refusal->to_string() : "";
    return true;  // it looks well
  };
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  EXPECT_EQ(refusal, "Busy ten times");
  EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
  EXPECT_EQ(xhci_.config_dword(4) & 4, 0U);
  xhci_.on_function_reset = {};
  xhci->bus_reset_begin();
  xhci->bus_reset_end(true);
  EXPECT_EQ(xhci->config_read(0), 0x01941033U);
}

// vfio-pci makes up the ids and most of the Command register; the class is the hardware's.
TEST_F(PassthroughFunctionResetTest, AFunctionThatIsDeadAfterABusResetIsLost) {
  const auto xhci = make(xhci_);
  for (const bool by_its_own : {false, true}) {
    xhci_.set_config(8, 0xffffffff);
    if (by_its_own) {
      xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
    } else {
      xhci->bus_reset_begin();
      xhci->bus_reset_end(true);
    }
    EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
    EXPECT_FALSE(pins_.connected);
    EXPECT_FALSE(xhci->reset());
    xhci_.set_config(8, 0x0c033003);
    EXPECT_TRUE(xhci->reset());
    EXPECT_EQ(xhci->config_read(0), 0x01941033U);
  }
}

// Conventional PCI Advanced Capabilities ECN: AF Capabilities at 3, AF Control at 4, bit 0.
class AdvancedFeaturesTest : public PassthroughFunctionResetTest {
 protected:
  AdvancedFeaturesTest() {
    xhci_.set_config(0xa0, 0x0002e010);  // Express, next e0
    xhci_.set_config(0xa4, 0x00008fc0);  // which has no FLR
    xhci_.set_config(0xe0, 0x03060013);
  }
};

TEST_F(AdvancedFeaturesTest, ItsResetIsTheHosts) {
  const auto xhci = make(xhci_);
  EXPECT_EQ(xhci->config_read(0xe0) >> 25 & 1, 1U);
  xhci->config_write(0xe4, 1, 0xff);
  EXPECT_EQ(xhci_.count("function reset"), 1U);
  EXPECT_EQ(xhci_.count("config 0xe4"), 0U);
}

TEST_F(AdvancedFeaturesTest, AHiddenResetDoesNotReachTheHardware) {
  auto wanted = options(xhci_);
  wanted.place.hide_function_reset = true;
  const auto xhci = started(std::move(wanted));
  EXPECT_EQ(xhci->config_read(0xe0) >> 25 & 1, 0U);
  write(*xhci, 0xe4, 0xff);
  EXPECT_EQ(xhci_.count("function reset"), 0U);
  EXPECT_EQ(xhci_.config_dword(0xe4), 0xfeU);
}

TEST_F(PassthroughFunctionResetTest, AResetThatTheHostDoesNotHaveIsHidden) {
  xhci_.can_function_reset = false;
  const auto xhci = make(xhci_);
  EXPECT_EQ(xhci->config_read(0xa4) >> 28 & 1, 0U);
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  EXPECT_EQ(xhci_.count("function reset"), 0U);
  EXPECT_EQ(xhci_.config_dword(0xa8), 0x2810U);
  EXPECT_EQ(xhci->config_read(0), 0x01941033U);
}

// 6.6.1: a conventional reset puts all registers to their default, BARs and Command to 0; the
// power-on addresses are the firmware's work and do not come back.
TEST_F(PassthroughFunctionResetTest, BusResetTakesTheFunctionAwayAndBringsItBackEmpty) {
  const auto xhci = make(xhci_);
  ASSERT_TRUE(xhci->bars().set_power_on_address(0, 0xe0000000));
  xhci->bars().reset();
  command(*xhci, 0x406);
  write(*xhci, 0x90, 0x80000000);
  ASSERT_FALSE(xhci_.irq_fds[IrqType::kMsix].empty());
  xhci->bus_reset_begin();
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_TRUE(xhci_.irq_fds[IrqType::kMsix].empty());
  EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
  const auto writes = xhci_.count("config");
  command(*xhci, 6);
  write(*xhci, 0x90, 0x80000000);
  EXPECT_EQ(xhci_.count("config"), writes);  // nothing reaches a device in reset
  EXPECT_TRUE(slots_.slots.empty());
  xhci_.set_config(4, 0x00100146);  // the host's kernel puts back what it knew
  xhci->bus_reset_end(true);
  EXPECT_EQ(xhci->config_read(0x10), 4U);
  EXPECT_EQ(xhci->config_read(4) & 0xffff, 0U);
  EXPECT_EQ(xhci->config_read(0x90) >> 31, 0U);
  EXPECT_TRUE(pins_.connected);
  EXPECT_EQ(xhci_.config_dword(4) & 6, 2U);  // decodes in the hardware, no bus master
  write(*xhci, 0x10, 0xe0000000);
  command(*xhci, 6);
  EXPECT_TRUE(slots_.has(0xe0000000));
}

TEST_F(PassthroughFunctionResetTest, FunctionThatIsLostInABusResetComesBackWithTheNext) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  gpu->bus_reset_begin();
  gpu->bus_reset_end(false);
  EXPECT_EQ(gpu->config_read(0), 0xffffffffU);
  command(*gpu, 7);
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_FALSE(pins_.connected);
  gpu->bus_reset_begin();
  gpu->bus_reset_end(true);
  EXPECT_EQ(gpu->config_read(0), 0x128b10deU);
  gpu->bus_reset_begin();
  gpu->bus_reset_end(false);
  ASSERT_TRUE(gpu->reset());
  EXPECT_EQ(gpu->config_read(0), 0x128b10deU);
}

TEST_F(PassthroughFunctionResetTest, BusResetWaitsForAFunctionLevelResetUnderWay) {
  const auto xhci = make(xhci_);
  std::atomic<bool> written{false};
  std::atomic<bool> asked{false};
  bool was_written_first = false;
  std::thread other;
  xhci_.on_function_reset = [&] {
    other = std::thread([&] {
      asked = true;
      xhci->bus_reset_begin();
      was_written_first = written;
    });
    for (int i = 0; i < 1000 || !asked; ++i) {
      std::this_thread::yield();
    }
    written = true;
    return Status();
  };
  xhci->config_write(0xa8, 0x8000 | 0x2810, 0xffff);
  other.join();
  EXPECT_TRUE(was_written_first);
  EXPECT_EQ(xhci->config_read(0), 0xffffffffU);
  xhci->bus_reset_end(true);
  EXPECT_NE(xhci->config_read(0), 0xffffffffU);
}

TEST_F(PassthroughFunctionResetTest, ResetAfterPhysicalResetIsPowerOn) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 0x407);
  write(*gpu, 0x10, 0xd0000000);
  gpu->quiesce();
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_FALSE(pins_.connected);
  gpu_.set_config(4, 0x00100000);  // what the reset did
  ASSERT_TRUE(gpu->reset());
  EXPECT_EQ(gpu->config_read(0x10), 0xe0000000U);
  EXPECT_EQ(gpu->config_read(4) & 0x407, 0U);
  EXPECT_EQ(gpu_.config_dword(4) & 7, 3U);
  EXPECT_TRUE(pins_.connected);
  EXPECT_TRUE(slots_.slots.empty());
  command(*gpu, 2);
  EXPECT_TRUE(slots_.has(0xe0000000));
  EXPECT_EQ(gpu_.count("map"), 3U);  // host mappings survive
}

}  // namespace
}  // namespace gpuvm::passthrough_function_reset_test
