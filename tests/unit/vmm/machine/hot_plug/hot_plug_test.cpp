// SPDX-License-Identifier: Apache-2.0
// Cards of a fake host in a guest's free ports, as the guest finds them in the ECAM: what it sees
// before and after, what is mapped for them, and that they go back to their drivers.
#include "vmm/machine/hot_plug/hot_plug.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_slot.hpp"
#include "tests/unit/vmm/machine/hot_plug/hot_plug_fixture.hpp"

namespace gpuvm::hot_plug_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using test::kGpu;
using test::kGpuId;
using test::kSlotRegister;
using test::kUsb;
using test::kUsbId;

class HotPlugTest : public test::HotPlugFixture {};

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

TEST_F(HotPlugTest, WhatAGuestLeavesInACardThatGoesIsOverwritten) {
  scrub_ = PciScrub::kVram;
  large_bar_ = 2_MiB;
  create();
  const auto came = plug_->attach(kGpu, wanted);
  ASSERT_TRUE(came) << came.error().to_string();
  const std::string record = fmt::format("/run/gpuvm/{}.state", kGpu);
  EXPECT_THAT(fakes_.host.read(record).value(), HasSubstr("scrub=vram")) << "what a crash leaves";
  ASSERT_TRUE(plug_->ask_for(kGpu));
  EXPECT_EQ(text_of(plug_->take_out(kGpu)), "");
  const auto left = fakes_.host.read(record);
  EXPECT_THAT(left ? *left : std::string(), testing::Not(HasSubstr("scrub=")));
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

// A device may take its time for each of its registers, and for its ROM.
TEST_F(HotPlugTest, NoDeviceIsAskedWhileWhoInspectsHasToWait) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  EXPECT_GT(config_writes_, 0) << "each is looked at by the fixture";
  ASSERT_TRUE(plug_->take_out(kUsb));
}

/// A card that no reset brings back, but its slot's power switch.
class LockedCardTest : public test::HotPlugFixture {
 protected:
  LockedCardTest() {
    for (const std::string& bdf : {slot_.kGpu, slot_.kAudio}) {
      slot_.find(bdf);
      fakes_.add(bdf, test::gt710_config(), 0, bdf == slot_.kGpu ? 0 : 1,
                 [this](test::FakePhysicalDevice& device) {
                   device.set_config(0x00, kUsbId);  // in no row of the reset policy's table
                   device.set_config(0x0c, 0x00800010);
                   device.on_function_reset = [this, &device] {
                     device.set_config(0x0c, locks_ ? 0x00020010 : 0x00800010);
                     return Status();
                   };
                 });
    }
  }

  FakeSlot slot_{fakes_.host};
  bool locks_ = true;
};

// The plan of its resets names devices that are closed while the power is off.
TEST_F(LockedCardTest, WhoInspectsSeesNothingOfItsResetsWhileItIsClosed) {
  InspectNode seen;
  slot_.on_power_off = [this, &seen] {
    locks_ = false;
    plug_->inspect(seen);
  };
  create();
  static_cast<void>(plug_->attach(slot_.kGpu, wanted));
  const InspectNode* const port = seen.find("port_0");
  ASSERT_NE(port, nullptr) << "its slot was switched off";
  EXPECT_NE(port->find("functions"), nullptr);
  EXPECT_EQ(port->find("reset"), nullptr);
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
  const auto absent = text_of(plug_->attach("0000:77:00.0", wanted));
  EXPECT_THAT(absent, HasSubstr("The card to attach: 0000:77:00.0 is not there"));
  EXPECT_THAT(absent, Not(HasSubstr("[[pci]]"))) << "which the user has not written";
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

TEST_F(HotPlugTest, OnlyCardsOfTheListComeWhereThereIsOne) {
  attachable_ = {bdf_of(kUsb)};
  create();
  const auto other = plug_->attach(kGpu, wanted);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(other.error().to_string(), HasSubstr("machine.attachable"));
  EXPECT_FALSE(plug_->has_cards());
  EXPECT_TRUE(plug_->attach(kUsb, wanted));
}

// sandbox.owner = "process" without root: there is one process, and it is confined.
TEST_F(HotPlugTest, AConfinedProcessWithoutALenderTouchesNothing) {
  is_confined_ = true;
  attachable_ = {bdf_of(kUsb)};
  create();
  fakes_.history.clear();
  EXPECT_THAT(text_of(plug_->attach(kUsb, wanted)), HasSubstr("sandbox.owner"));
  EXPECT_TRUE(fakes_.history.empty());
}

}  // namespace
}  // namespace gpuvm::hot_plug_test
