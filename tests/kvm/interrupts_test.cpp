// SPDX-License-Identifier: Apache-2.0
// Interrupts from eventfds to an interrupt handler in the guest, without user space on the way: MSI
// routes and level-triggered pins (Linux, Documentation/virt/kvm/api.rst, KVM_IRQFD; Intel SDM
// volume 3, chapter 11 local APIC; Intel 82093AA I/O APIC).
#include "tests/kvm/kvm_fixture.hpp"
#include "vmm/base/event_fd.hpp"

namespace gpuvm::test::interrupts_test {
namespace {

using Reports = std::vector<std::uint32_t>;

constexpr std::uint32_t kSpurious = 0xfee000f0;  // bit 8: APIC software enable
constexpr std::uint32_t kIoApicSelect = 0xfec00000;
constexpr std::uint32_t kIoApicData = 0xfec00010;
constexpr std::uint32_t kLevelTriggered = 1 << 15;
constexpr Gsi kPin{17};  // not one of the PICs' lines

class Interrupts : public KvmTest {
 protected:
  static GuestCode with_apic_enabled() {
    GuestCode code;
    return code.store_value(kSpurious, 0x1ff);
  }
  /// Redirection table entry of kPin: level-triggered, to APIC 0.
  static void route_pin(GuestCode& code, std::uint8_t vector) {
    const std::uint32_t entry = 0x10 + 2 * kPin.value();
    code.store_value(kIoApicSelect, entry + 1).store_value(kIoApicData, 0);
    code.store_value(kIoApicSelect, entry).store_value(kIoApicData, kLevelTriggered | vector);
  }
  std::string updates() {
    InspectNode node;
    vm().interrupts().inspect(node);
    return std::string(node.get("updates"));
  }
  static MsiMessage message(std::uint8_t vector) { return {.address = 0xfee00000, .data = vector}; }
};

TEST_F(Interrupts, EventBecomesAnMsiAndFollowsItsRoute) {
  const auto event = EventFd::create();
  ASSERT_TRUE(event);
  const auto route = vm().interrupts().connect(event->fd(), message(0x40));
  ASSERT_TRUE(route) << route.error().to_string();
  add_interrupt_handler(0x40);
  add_interrupt_handler(0x42);
  auto code = with_apic_enabled();
  code.report(1).wait_for_interrupt().report(2).wait_for_interrupt().report(3).finish();
  load(code);
  reports_.hook = [&](std::uint32_t value) {
    if (value == 2) {
      EXPECT_TRUE(vm().interrupts().update(*route, message(0x42)));
    }
    if (value <= 2) {
      event->signal();
    }
  };
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1, 0x40, 2, 0x42, 3}));
  vm().interrupts().disconnect(*route, event->fd());
  EXPECT_EQ(vm().interrupts().route_count(), 0U);
}

// A route change stops the whole VM for a moment: what changes nothing must not reach the kernel.
TEST_F(Interrupts, UpdateToTheSameMessageDoesNothing) {
  const auto event = EventFd::create();
  ASSERT_TRUE(event);
  const auto route = vm().interrupts().connect(event->fd(), message(0x40));
  ASSERT_TRUE(route);
  const auto before = updates();
  EXPECT_TRUE(vm().interrupts().update(*route, message(0x40)));
  EXPECT_EQ(updates(), before);
  EXPECT_TRUE(vm().interrupts().update(*route, message(0x41)));
  EXPECT_NE(updates(), before);
  EXPECT_FALSE(vm().interrupts().update(Gsi(9), message(0x41)));  // a pin
  vm().interrupts().disconnect(*route, event->fd());
}

TEST_F(Interrupts, SignalThatCameBeforeTheRouteIsDelivered) {
  const auto event = EventFd::create();
  ASSERT_TRUE(event);
  event->signal();
  add_interrupt_handler(0x40);
  auto code = with_apic_enabled();
  code.report(1).wait_for_interrupt().report(2).finish();
  load(code);
  reports_.hook = [&](std::uint32_t value) {
    if (value == 1) {
      EXPECT_TRUE(vm().interrupts().connect(event->fd(), message(0x40)));
    }
  };
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1, 0x40, 2}));
}

TEST_F(Interrupts, EndOfInterruptLowersThePinAndAsksForAnotherLook) {
  const auto trigger = EventFd::create();
  const auto resample = EventFd::create();
  ASSERT_TRUE(trigger && resample);
  const auto status = vm().interrupts().connect_level(kPin, trigger->fd(), resample->fd());
  ASSERT_TRUE(status) << status.error().to_string();
  add_interrupt_handler(0x50);
  auto code = with_apic_enabled();
  route_pin(code, 0x50);
  code.report(1).wait_for_interrupt().report(2).wait_for_interrupt().report(3).finish();
  load(code);
  using Sample = std::pair<std::uint32_t, bool>;  // a report; the resample event has come since
  std::vector<Sample> samples;
  reports_.hook = [&](std::uint32_t value) {
    samples.emplace_back(value, resample->drain());
    if (value <= 2) {
      trigger->signal();
    }
  };
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  if (samples.size() > 1 && samples[1] == Sample{0x50, true} && !must_run()) {
    GTEST_SKIP() << "Skipped: this KVM takes the delivery of an interrupt for its end";
  }
  EXPECT_EQ(samples,
            (std::vector<Sample>{{1, false}, {0x50, false}, {2, true}, {0x50, false}, {3, true}}));
  vm().interrupts().disconnect_level(kPin, trigger->fd());
}

TEST_F(Interrupts, LevelOfAnEmulatedDeviceHoldsUntilItFalls) {
  add_interrupt_handler(0x51);
  auto code = with_apic_enabled();
  route_pin(code, 0x51);
  code.report(1).wait_for_interrupt().wait_for_interrupt().report(2).finish();
  load(code);
  int handled = 0;
  reports_.hook = [&](std::uint32_t value) {
    if (value == 1) {
      vm().interrupts().set_level(kPin, true);
    } else if (value == 0x51 && ++handled == 2) {
      vm().interrupts().set_level(kPin, false);
    }
  };
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1, 0x51, 0x51, 2}));
}

}  // namespace
}  // namespace gpuvm::test::interrupts_test
