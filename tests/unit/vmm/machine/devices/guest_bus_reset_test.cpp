// SPDX-License-Identifier: Apache-2.0
// GuestBusReset: what a guest does to a root port (PCI Express Base 6.0, 7.5.1.3.13 Secondary Bus
// Reset, 7.5.3.7 Link Disable) and what becomes of two functions behind it, over fakes.
#include "vmm/machine/devices/guest_bus_reset.hpp"

#include <gtest/gtest.h>

#include <new>
#include <optional>

#include "devices/pci/pci_spec.hpp"
#include "devices/pci/root_port.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"
#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::guest_bus_reset_test {
namespace {

class GuestBusResetTest : public test::FunctionTest {
 protected:
  GuestBusResetTest() {
    for (auto* device : {&first_, &second_}) {
      device->add_bar(0, 0x2000);
      device->set_irq(IrqType::kIntx, 1);
      device->set_irq(IrqType::kMsix, 8);
    }
    host_.sets = {{member("0000:02:00.0"), member("0000:02:00.1")}};
  }

  /// Both functions behind a port, decoding at their addresses.
  void build(const std::optional<ResetClock>& clock = {}) {
    port_ = RootPort::create({.name = "port-0", .device = 1}).value();
    std::vector<PassthroughFunction*> behind;
    for (auto* device : {&first_, &second_}) {
      functions_.push_back(make(*device));
      auto& function = *functions_.back();
      ASSERT_TRUE(port_->attach(static_cast<std::uint8_t>(behind.size()), function));
      ASSERT_TRUE(function.start());
      function.config_write(0x10, 0xe0000000U + 0x10000U * static_cast<unsigned>(behind.size()),
                            ~0U);
      function.config_write(4, 6, 0xffff);
      behind.push_back(&function);
    }
    ASSERT_TRUE(port_->set_power_on_setup({.secondary = 1, .subordinate = 1}));
    const std::array<PhysicalDevice*, 2> devices{&first_, &second_};
    for (auto* device : devices) {
      ASSERT_TRUE(book_.add(*device, {}));
    }
    auto plan = book_.plan(devices);
    ASSERT_TRUE(plan);
    reset_ = std::make_unique<GuestBusReset>(GuestBusReset::Options{
        .name = "port-0",
        .book = book_,
        .plan = *plan,
        .functions = behind,
        .clock = clock.value_or(clock_.clock()),
        .on_reset = [this](auto, const auto& told) { told_.push_back(told.verdict); }});
    EXPECT_TRUE(port_->set_listener(reset_.get()));
    ASSERT_EQ(slots_.slots.size(), 2U);
  }

  std::unique_ptr<PassthroughFunction> make(test::FakePhysicalDevice& device) {
    return create(options(device, device.name())).value();
  }

  void bridge_control(bool in_reset) {
    const std::uint32_t bit = std::uint32_t{pci::kBridgeControlBusReset} << 16;
    port_->config_write(pci::kInterruptLine, in_reset ? bit : 0, 0xffff0000);
  }

  History history_;
  FakeResetHost host_{history_};
  ResetBook book_{host_};
  FakeClock clock_;
  std::vector<ResetVerdict> told_;
  test::FakePhysicalDevice first_{test::upd720200_config(), "0000:02:00.0"};
  test::FakePhysicalDevice second_{test::upd720200_config(), "0000:02:00.1"};
  std::vector<std::unique_ptr<PassthroughFunction>> functions_;
  std::unique_ptr<GuestBusReset> reset_;
  std::unique_ptr<RootPort> port_;
};

TEST_F(GuestBusResetTest, RisingEdgeIsOneHotResetWithNothingInReach) {
  build();
  bool checked = false;
  host_.on_hot_reset = [&]() -> Status {
    checked = true;
    EXPECT_TRUE(slots_.slots.empty());
    EXPECT_FALSE(pins_.connected);
    for (const auto& function : functions_) {
      EXPECT_EQ(function->config_read(0), pci::kAllOnes);  // no lock is held either
    }
    return {};
  };
  bridge_control(true);
  EXPECT_TRUE(checked);
  bridge_control(true);  // still high: no edge
  EXPECT_EQ(port_->route(1, 0).function, nullptr);
  bridge_control(false);
  EXPECT_EQ(history_, History{"hot reset at 0000:02:00.0"});
  EXPECT_EQ(port_->route(1, 0).function, functions_[0].get());
  for (const auto& function : functions_) {
    EXPECT_EQ(function->config_read(0), 0x01941033U);
    EXPECT_EQ(function->config_read(0x10), 4U);
    EXPECT_EQ(function->config_read(4) & 0x407, 0U);
    EXPECT_TRUE(pins_.connected);
  }
  functions_[1]->config_write(0x10, 0xe0080000, ~0U);
  functions_[1]->config_write(4, 6, 0xffff);
  EXPECT_TRUE(slots_.has(0xe0080000));
}

TEST_F(GuestBusResetTest, DisabledLinkResetsJustTheSame) {
  build();
  const auto link_control =
      static_cast<std::uint16_t>(RootPort::kExpressOffset + pci::kExpressLinkControl);
  port_->config_write(link_control, pci::kLinkControlDisable, 0xffff);
  port_->config_write(link_control, 0, 0xffff);
  EXPECT_EQ(history_.size(), 1U);
  EXPECT_TRUE(slots_.slots.empty());
}

// The host's slot holds a third function, behind another port of the guest or not the guest's.
TEST_F(GuestBusResetTest, HotResetThatReachesPastThePortIsNotDone) {
  host_.sets[0].push_back(member("0000:02:00.2"));
  build();
  bridge_control(true);
  EXPECT_TRUE(history_.empty());
  EXPECT_EQ(first_.count("function reset"), 1U);
  EXPECT_EQ(second_.count("function reset"), 1U);
}

// Lines of the log are limited, certificates are not.
TEST_F(GuestBusResetTest, EachIsToldHoweverManyResetsThereWere) {
  build();
  for (int i = 0; i < 50; ++i) {
    bridge_control(true);
    bridge_control(false);
  }
  EXPECT_EQ(told_, std::vector<ResetVerdict>(50, ResetVerdict::kVerified));
  host_.on_hot_reset = [&]() -> Status {
    second_.set_gone(true);
    return {};
  };
  bridge_control(true);
  ASSERT_EQ(told_.size(), 51U);
  EXPECT_EQ(told_.back(), ResetVerdict::kFailed);
}

TEST_F(GuestBusResetTest, DeviceThatDoesNotComeBackIsGoneUntilTheNextReset) {
  build();
  host_.on_hot_reset = [&]() -> Status {
    second_.set_gone(true);
    return {};
  };
  bridge_control(true);
  bridge_control(false);
  second_.set_gone(false);
  EXPECT_EQ(functions_[0]->config_read(0), pci::kAllOnes);
  EXPECT_EQ(functions_[1]->config_read(0), pci::kAllOnes);
  EXPECT_FALSE(pins_.connected);
  InspectNode node;
  reset_->inspect(node);
  EXPECT_EQ(node.get("failures"), "1");
  host_.on_hot_reset = {};
  bridge_control(true);
  EXPECT_EQ(functions_[0]->config_read(0), 0x01941033U);
  EXPECT_EQ(functions_[1]->config_read(0), 0x01941033U);
}

// A rung that does not help may take a minute to say so: it is not tried first again.
TEST_F(GuestBusResetTest, WhatIsThrownIsAResetThatDidNotHelp) {
  auto clock = clock_.clock();
  clock.now = []() -> std::chrono::milliseconds { throw std::bad_alloc(); };
  build(clock);
  bridge_control(true);
  EXPECT_EQ(functions_[0]->config_read(0), 0xffffffffU);
  EXPECT_TRUE(slots_.slots.empty());
}

TEST_F(GuestBusResetTest, WhatDidNotHelpIsNotTriedFirstAgain) {
  build();
  const std::vector<std::byte> well = second_.config();
  host_.on_hot_reset = [&]() -> Status {
    second_.set_config(0, 0x99991033);  // another device id: the check fails
    return {};
  };
  second_.on_function_reset = [&]() -> Status {
    second_.config() = well;
    return {};
  };
  bridge_control(true);
  bridge_control(false);
  EXPECT_EQ(history_.size(), 1U);
  EXPECT_EQ(second_.count("function reset"), 1U);
  bridge_control(true);
  bridge_control(false);
  EXPECT_EQ(history_.size(), 1U) << "the hot reset was tried again";
  EXPECT_EQ(second_.count("function reset"), 2U);
  EXPECT_EQ(told_, std::vector<ResetVerdict>(2, ResetVerdict::kVerified));
}

}  // namespace
}  // namespace gpuvm::guest_bus_reset_test
