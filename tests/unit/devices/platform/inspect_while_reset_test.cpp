// SPDX-License-Identifier: Apache-2.0
// Every platform device is inspected and gets events from the host while it is reset and accessed,
// as may happen at any time: for the thread sanitizer, and that no device ends in a deadlock.
#include <gtest/gtest.h>

#include <functional>
#include <latch>
#include <thread>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/debug_ports.hpp"
#include "devices/platform/flash_device.hpp"
#include "devices/platform/reset_port.hpp"
#include "devices/platform/rtc_cmos.hpp"
#include "devices/platform/serial_port.hpp"
#include "fakes.hpp"

namespace gpuvm::inspect_while_reset_test {
namespace {

constexpr unsigned kRounds = 300;

/// One of each thread that there is in a machine. event: what the host does to the device.
template <class Device>
void use_at_once(
    Device& device, std::uint64_t offsets, const std::function<void()>& event = [] {}) {
  std::latch start(4);
  const auto repeat = [&start](const std::function<void()>& what) {
    return std::thread([&start, what] {
      start.arrive_and_wait();
      for (unsigned i = 0; i < kRounds; ++i) {
        what();
      }
    });
  };
  Resettable& resettable = device;
  const Inspectable& inspectable = device;
  std::string shown;
  std::thread threads[] = {
      repeat([&] {
        for (std::uint64_t offset = 0; offset < offsets; ++offset) {
          read8(device, offset);
          write8(device, offset, 0x01);
        }
      }),
      repeat([&] { resettable.reset(); }),
      repeat([&] {
        InspectNode node;
        inspectable.inspect(node);
        shown = node.to_json();
      }),
      repeat(event),
  };
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_GT(shown.size(), 2U);
}

TEST(InspectWhileReset, SerialPort) {
  FakePins pins;
  FakeSink sink;
  SerialPort port(sink, pins);
  std::atomic<unsigned> ready{0};
  port.set_input_ready([&] { ++ready; });
  const std::vector<std::byte> typed(Uart16550::kQueueSize);
  use_at_once(port, SerialPort::kPortCount, [&] { port.receive(typed); });
  port.receive(typed);
  port.receive(typed);
  const auto before = ready.load();
  port.reset();
  EXPECT_EQ(ready, before + 1) << "the host is told that there is room again";
  EXPECT_EQ(port.receive(typed), typed.size());
}

TEST(InspectWhileReset, RealTimeClock) {
  FakePins pins;
  std::atomic<unsigned> armed{0};
  RtcCmos clock({.memory = {}, .now = {}, .arm_timer = [&](auto) { ++armed; }}, pins);
  use_at_once(clock, RtcCmos::kPortCount, [&] { clock.timer_expired(); });
}

TEST(InspectWhileReset, PowerManagement) {
  FakePins pins;
  std::atomic<unsigned> requests{0};
  AcpiPm pm({.power_off = [&] { ++requests; }, .reset = {}}, pins);
  use_at_once(pm, AcpiPm::kPortCount, [&] { pm.press_power_button(); });
  InspectNode node;
  pm.inspect(node);
  EXPECT_EQ(node.get("power_button_presses"), std::to_string(kRounds));
}

TEST(InspectWhileReset, SmallPorts) {
  std::atomic<unsigned> requests{0};
  ResetPort reset_port({.power_off = {}, .reset = [&] { ++requests; }});
  use_at_once(reset_port, 1);
  PostCodePort post_code;
  use_at_once(post_code, 1);
}

struct FakeSlots : MemorySlots {
  Result<SlotId> map(GuestAddress, std::span<std::byte>, SlotAccess) override {
    ++mapped;
    return SlotId{1};
  }
  void unmap(SlotId) override { --mapped; }
  int mapped = 0;
};

struct FakeStore : FlashStore {
  bool keep(std::uint64_t, std::span<const std::byte>) override { return true; }
};

TEST(InspectWhileReset, Flash) {
  FakeSlots slots;
  FakeStore store;
  const std::vector<std::byte> contents(2 * CfiFlash::kBlockSize);
  {
    auto flash = FlashDevice::create(contents, GuestAddress(0xffc00000), store, slots);
    ASSERT_TRUE(flash);
    use_at_once(**flash, 4, [&] { write8(**flash, 0, CfiFlash::kReadStatus); });
    (*flash)->reset();
    EXPECT_EQ(slots.mapped, 1) << "the array is shown";
  }
  EXPECT_EQ(slots.mapped, 0);
}

}  // namespace
}  // namespace gpuvm::inspect_while_reset_test
