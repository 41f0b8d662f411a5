// SPDX-License-Identifier: Apache-2.0
// Cards of a fake host in a guest's free ports, as the guest finds them in the ECAM: what it sees
// before and after, what is mapped for them, and that they go back to their drivers.
#include "vmm/machine/hot_plug/hot_plug.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/bus/fake_guest_bus.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm::hot_plug_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kUsb = "0000:02:00.0";
const std::string kGpu = "0000:03:00.0";
constexpr std::uint32_t kUsbId = 0x56781234;
constexpr std::uint32_t kGpuId = 0x56791234;
constexpr unsigned kSlotRegister = RootPort::kExpressOffset + pci::kExpressSlotControl;

class NoResetPort : public IoHandler {
 public:
  std::string_view name() const override { return "reset port"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kOk; }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override { return IoStatus::kOk; }
};

class HotPlugTest : public testing::Test {
 protected:
  HotPlugTest() {
    fakes_.host.file("/dev/kvm", "");
    add(kUsb, kUsbId);
    add(kGpu, kGpuId);
  }
  /// Of no row of the reset policy's table.
  void add(const std::string& bdf, std::uint32_t ids) {
    fakes_.add(bdf, test::gt710_config(), 0, 0, [this, ids](test::FakePhysicalDevice& device) {
      device.set_config(0, ids);
      device.add_bar(0, 16_MiB);
      device.add_bar(1, large_bar_);
      device.add_bar(3, 32_MiB);
      device.set_irq(IrqType::kIntx, 1);
    });
  }
  void create() {
    auto none = HostDevices::create(fakes_.host, {}, {}, fakes_.openers());
    ASSERT_TRUE(none);
    devices_ = std::move(none).value();
    numa_.emplace(NumaPlan::create(fakes_.host, {}, devices_->host_functions(), memory_).value());
    auto made = PciComplex::create(
        {.devices = *devices_,
         .numa = *numa_,
         .disks = disks_,
         .networks = networks_,
         .services = {},
         .memory = memory_,
         .physical_address_bits = 40,
         .config_ports = false,
         .before_bus_master = {},
         .reset_port = reset_port_,
         .firmware_flash = {},
         .bus = bus_.bus(),
         .on_guest_reset = {},
         .free_ports = free_ports_,
         .reserve = reserve_,
         .on_slot_power = [this](std::uint8_t port, bool on) { powers_.emplace_back(port, on); }});
    ASSERT_TRUE(made) << made.error().to_string();
    pci_ = std::move(made).value();
    plug_ = std::make_unique<HotPlug>(HotPlugMachine{
        .host = fakes_.host,
        .owner = "the guest main",
        .memory = memory_,
        .pci = *pci_,
        .prepare_memory = [](const auto&) -> Status { return {}; },
        .hold_group = [](int) -> Status { return {}; },
        .release_group = [](int) {},
        .exclusively = [](const auto& change) { change(); },
        .on_step = [this](const HotPlugStep& step) { steps_.emplace_back(step.step); },
        .openers = fakes_.openers()});
  }
  std::uint32_t read(unsigned bus, unsigned device, unsigned offset) {
    std::array<std::byte, 4> bytes{};
    bus_.mmio.read(layout::kEcamBase + (bus << 20 | device << 15 | offset), bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }
  void write(unsigned bus, unsigned device, unsigned offset, std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    bus_.mmio.write(layout::kEcamBase + (bus << 20 | device << 15 | offset), bytes);
  }
  /// 16 bits: Status beside it is the function's.
  void write_command(unsigned bus, unsigned device, std::uint16_t value) {
    std::array<std::byte, 2> bytes{};
    store_le(bytes, value);
    bus_.mmio.write(layout::kEcamBase + (bus << 20 | device << 15 | pci::kCommand), bytes);
  }
  /// As Linux' driver: what happened is cleared, and the slot gets or loses its power.
  void switch_slot(unsigned device, bool on) {
    write(0, device, kSlotRegister, 0xffff0000U | (on ? 0U : std::uint32_t{1} << 10));
  }
  static bool wanted() { return false; }
  static std::string text_of(const Status& status) {
    return status ? std::string() : status.error().to_string();
  }

  test::FakeDevices fakes_;
  std::uint64_t large_bar_ = 128_MiB;
  unsigned free_ports_ = 2;
  std::uint64_t reserve_ = 1_GiB;
  test::FakeGuestBus bus_;
  NoResetPort reset_port_;
  GuestDisks disks_;
  Networks networks_;
  GuestMemory memory_ = GuestMemory::create({.size = 64_MiB}).value();
  std::unique_ptr<HostDevices> devices_;
  std::optional<NumaPlan> numa_;
  std::unique_ptr<HotPlug> plug_;  ///< its cards outlive what shows them
  std::unique_ptr<PciComplex> pci_;
  std::vector<std::pair<std::uint8_t, bool>> powers_;
  std::vector<std::string> steps_;
};

TEST_F(HotPlugTest, FreePortsAreSlotsWithWindows) {
  create();
  EXPECT_EQ(pci_->buses(), 3U);
  EXPECT_THAT(pci_->free_ports(), ElementsAre(0, 1));
  for (const unsigned device : {1U, 2U}) {
    EXPECT_NE(read(0, device, RootPort::kExpressOffset + pci::kExpressSlotCapabilities) &
                  pci::kSlotHotPlugCapable,
              0U);
    const std::uint32_t memory = read(0, device, pci::kMemoryBase);
    EXPECT_EQ((memory >> 16 & 0xfff0) + 0x10 - (memory & 0xfff0), 64U << 4) << "64 MiB below 4 GiB";
    const std::uint32_t low = read(0, device, pci::kPrefetchableBase);
    EXPECT_EQ((low >> 16 & 0xfff0) + 0x10 - (low & 0xfff0), 1024U << 4) << "1 GiB above";
  }
}

TEST_F(HotPlugTest, ACardComesIsUsedAndGoesBackToItsDriver) {
  create();
  ASSERT_EQ(read(1, 0, 0), pci::kAllOnes);
  const auto came = plug_->attach("02:00.0", wanted);
  ASSERT_TRUE(came) << came.error().to_string();
  EXPECT_EQ(read(1, 0, 0), pci::kAllOnes) << "the guest has not switched the slot on";
  EXPECT_NE(read(0, 1, kSlotRegister) >> 16 & pci::kSlotStatusPresent, 0U);
  switch_slot(1, true);
  EXPECT_EQ(read(1, 0, 0), kUsbId);
  EXPECT_EQ(read(1, 0, pci::kCommand) & 7U, 0U) << "as after a reset";
  EXPECT_EQ(read(1, 0, pci::kBar0) & ~0xfU, 0U) << "the guest gives addresses";
  EXPECT_THAT(fakes_.history, Contains(HasSubstr("vfio map 0x0")));

  const auto asked = plug_->ask_for(kUsb);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->port, 0);
  EXPECT_FALSE(asked->is_released);
  EXPECT_EQ(read(1, 0, 0), kUsbId) << "until it lets go";
  switch_slot(1, false);
  EXPECT_EQ(read(1, 0, 0), pci::kAllOnes);
  EXPECT_THAT(powers_, ElementsAre(std::pair<std::uint8_t, bool>(0, true),
                                   std::pair<std::uint8_t, bool>(0, false)));
  const auto gone = plug_->take_out(kUsb);
  ASSERT_TRUE(gone) << gone.error().to_string();
  EXPECT_EQ(read(0, 1, kSlotRegister) >> 16 & pci::kSlotStatusPresent, 0U);
  EXPECT_FALSE(plug_->has_cards());
  EXPECT_THAT(fakes_.history, Contains("close vfio"));
  EXPECT_THAT(steps_, ElementsAre("claimed", "verified", "mapped", "shown", "announced", "asked",
                                  "withdrawn", "gone"));
}

TEST_F(HotPlugTest, ManyTimesWithoutAnythingThatGrows) {
  create();
  InspectNode before;
  pci_->inspect(before);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(plug_->attach(kUsb, wanted)) << i;
    switch_slot(1, true);
    ASSERT_EQ(read(1, 0, 0), kUsbId) << i;
    write(1, 0, pci::kBar0, static_cast<std::uint32_t>(layout::kMmio32Base.value()));
    write_command(1, 0, pci::kCommandMemory);
    ASSERT_TRUE(plug_->take_out(kUsb)) << i << ": by surprise";
    switch_slot(1, false);
  }
  EXPECT_TRUE(bus_.slots.slots.empty()) << "no BAR is left in the guest";
  InspectNode after;
  pci_->inspect(after);
  ASSERT_NE(after.find("bars"), nullptr);
  EXPECT_EQ(after.find("bars")->to_json(), before.find("bars")->to_json());
}

TEST_F(HotPlugTest, TheLowestFreePortIsTakenAndNoneIsLeftForAThird) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  ASSERT_TRUE(plug_->attach(kGpu, wanted));
  switch_slot(2, true);
  EXPECT_EQ(read(2, 0, 0), kGpuId);
  EXPECT_THAT(text_of(plug_->attach(kGpu, wanted)), HasSubstr("has 0000:03:00.0 already"));
  EXPECT_THAT(text_of(plug_->attach("0000:09:00.0", wanted)), HasSubstr("kept free"));
  ASSERT_TRUE(plug_->take_out(kUsb));
  EXPECT_TRUE(plug_->attach(kUsb, wanted)) << "in port 0 again";
}

TEST_F(HotPlugTest, ACardThatDoesNotFitGoesBackUntouched) {
  large_bar_ = 2_GiB;
  create();
  const auto status = plug_->attach(kGpu, wanted);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(status.error().to_string(), HasSubstr("machine.reserve is too small"));
  EXPECT_FALSE(plug_->has_cards());
  EXPECT_EQ(read(0, 1, kSlotRegister) >> 16, 0U) << "the guest has not heard of it";
  EXPECT_THAT(fakes_.history, Contains("close vfio"));
}

TEST_F(HotPlugTest, WhatIsNoCardIsRefused) {
  create();
  EXPECT_THAT(text_of(plug_->attach("gpu", wanted)), HasSubstr("no address of a PCI function"));
  EXPECT_THAT(text_of(plug_->attach("/run/server", wanted)), HasSubstr("A server cannot have"));
  EXPECT_THAT(text_of(plug_->take_out(kUsb)), HasSubstr("has not come to this guest"));
  EXPECT_FALSE(plug_->ask_for(kUsb));
}

TEST_F(HotPlugTest, ACardThatNobodySwitchedOnNeedsNoAsking) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  const auto asked = plug_->ask_for(kUsb);
  ASSERT_TRUE(asked);
  EXPECT_TRUE(asked->is_released);
}

// A reboot finds the card as it would one of the start: with power and at addresses.
TEST_F(HotPlugTest, ACardStaysThroughAReboot) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  switch_slot(1, true);
  pci_->quiesce();
  ASSERT_TRUE(plug_->reset(ResetReason::kReboot));
  ASSERT_TRUE(pci_->reset());
  EXPECT_EQ(read(1, 0, 0), kUsbId);
  const std::uint32_t base = (read(0, 1, pci::kMemoryBase) & 0xfff0U) << 16;
  EXPECT_EQ(read(1, 0, pci::kBar0) & ~0xfU, base) << "in the port's window";
  EXPECT_TRUE(plug_->take_out(kUsb));
  EXPECT_EQ(read(1, 0, 0), pci::kAllOnes);
}

TEST_F(HotPlugTest, WithoutFreePortsTheCureIsTold) {
  free_ports_ = 0;
  create();
  EXPECT_EQ(pci_->buses(), 2U);
  EXPECT_EQ(read(0, 1, RootPort::kExpressOffset + pci::kExpressSlotCapabilities) &
                pci::kSlotHotPlugCapable,
            0U);
  EXPECT_THAT(text_of(plug_->attach(kUsb, wanted)), HasSubstr("[machine] free_ports"));
}

}  // namespace
}  // namespace gpuvm::hot_plug_test
