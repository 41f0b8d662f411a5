// SPDX-License-Identifier: Apache-2.0
// A root port's hot-plug slot as a guest's driver has it (PCI Express Base 6.0, 6.7): registers,
// events, the interrupt, and that nobody reaches a card without power.
#include "devices/pci/hot_plug_slot.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "devices/pci/root_port.hpp"
#include "tests/unit/devices/pci/fake_function.hpp"
#include "tests/unit/vmm/bus/fake_guest_bus.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::hot_plug_slot_test {
namespace {

constexpr std::uint32_t kSlot = RootPort::kExpressOffset + pci::kExpressSlotControl;
constexpr std::uint32_t kPresent = pci::kSlotStatusPresent;
constexpr std::uint32_t kButton = pci::kSlotStatusAttentionButton;
constexpr std::uint32_t kPresenceChanged = pci::kSlotStatusPresenceChanged;
constexpr std::uint32_t kLinkChanged = pci::kSlotStatusLinkChanged;
constexpr std::uint32_t kPowerOff = pci::kSlotControlPowerOff;
constexpr std::uint32_t kInterrupt = pci::kSlotControlInterrupt;
constexpr std::uint32_t kEvents = kButton | kPresenceChanged | kLinkChanged;
/// What Linux enables for a slot with a button: no event of presence.
constexpr std::uint32_t kLinuxEnables =
    kButton | kInterrupt | std::uint32_t{pci::kSlotControlLinkChanged};

class ResetCounter : public SecondaryBusListener {
 public:
  void secondary_bus_reset() override { ++resets; }
  int resets = 0;
};

class HotPlugTest : public testing::Test {
 protected:
  HotPlugTest() {
    auto created = RootPort::create(
        {.name = "port-3",
         .device = 4,
         .slot = 4,
         .hot_plug = HotPlugConfig{
             .msi = &msi_, .memory32 = 64_MiB, .memory64 = 64_GiB, .on_power = [this](bool on) {
               powers_.push_back(on);
             }}});
    EXPECT_TRUE(created);
    port_ = std::move(*created);
    EXPECT_TRUE(port_->set_listener(&listener_));
    EXPECT_TRUE(port_->set_power_on_setup({.secondary = 1, .subordinate = 1}));
  }
  std::uint32_t read(unsigned offset) {
    return port_->config_read(static_cast<std::uint16_t>(offset));
  }
  void write(unsigned offset, std::uint32_t value, std::uint32_t mask = 0xffffffff) {
    port_->config_write(static_cast<std::uint16_t>(offset), value, mask);
  }
  std::uint32_t control() { return read(kSlot) & 0xffff; }
  std::uint32_t status() { return read(kSlot) >> 16; }
  void set_control(std::uint32_t value) { write(kSlot, value, 0x0000ffff); }
  void clear_events() { write(kSlot, 0xffff0000, 0xffff0000); }
  unsigned capability(std::uint8_t id) {
    unsigned at = read(0x34) & 0xff;
    for (int i = 0; at != 0 && i < 48; ++i) {
      if ((read(at) & 0xff) == id) {
        return at;
      }
      at = read(at) >> 8 & 0xff;
    }
    return 0;
  }
  void enable_msi() {
    const unsigned at = capability(0x05);
    write(at + 4, 0xfee01000);
    write(at + 8, 0);
    write(at + 12, 0x4021, 0x0000ffff);
    write(at, 0x00010000, 0x00010000);
  }
  std::uint64_t sent() {
    InspectNode node;
    port_->inspect(node);
    return std::stoull(std::string(node.find("slot")->get("interrupts")));
  }
  void insert() {
    EXPECT_TRUE(port_->attach(0, card_));
    port_->insert({.link = {.speed = 4, .width = 16}, .max_payload_code = 1});
  }
  bool reaches_card() { return port_->route(1, 0).function != nullptr; }

  test::FakeMsiController msi_;
  FakeFunction card_{"card"};
  ResetCounter listener_;
  std::vector<bool> powers_;
  std::unique_ptr<RootPort> port_;
};

// 7.5.3.9: button, power controller, both indicators, surprise, capable, no command completed.
TEST_F(HotPlugTest, SaysWhatItHas) {
  EXPECT_EQ(read(RootPort::kExpressOffset + pci::kExpressSlotCapabilities),
            0x7bU | 1U << 18 | 4U << 19);
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(control() & kPowerOff, kPowerOff) << "empty: no power";
  EXPECT_EQ(control() >> 8 & 3, 3U) << "power indicator off";
  EXPECT_EQ(control() >> 6 & 3, 3U) << "attention indicator off";
  EXPECT_NE(capability(0x05), 0U) << "MSI";
}

// QEMU, docs/pcie_pci_bridge.txt.
TEST_F(HotPlugTest, TellsFirmwareWhatToReserve) {
  const unsigned at = capability(0x09);
  ASSERT_NE(at, 0U);
  EXPECT_EQ(read(at) >> 16, 0x0120U) << "type 1 behind a length of 32";
  EXPECT_EQ(read(at + 4), 0U) << "no further buses";
  EXPECT_EQ(read(at + 8), 0U);
  EXPECT_EQ(read(at + 16), 64_MiB);
  EXPECT_EQ(read(at + 20), 0xffffffffU) << "either 32 or 64 bits: OVMF takes both for an error";
  EXPECT_EQ(read(at + 24), 0U);
  EXPECT_EQ(read(at + 28), 16U) << "64 GiB, upper half";
}

TEST_F(HotPlugTest, ACardComesWithAButtonAndOneInterrupt) {
  enable_msi();
  set_control(control() | kLinuxEnables);
  EXPECT_EQ(sent(), 0U);
  insert();
  EXPECT_EQ(status(), kPresent | kPresenceChanged | kButton);
  EXPECT_EQ(sent(), 1U);
  EXPECT_FALSE(reaches_card()) << "the slot has no power yet";
  EXPECT_EQ(read(RootPort::kExpressOffset + pci::kExpressLinkCapabilities) & 0x3ff, 0x104U);
  EXPECT_EQ(read(RootPort::kExpressOffset + pci::kExpressDeviceControl) >> 5 & 7, 1U);
  clear_events();
  set_control((control() & ~kPowerOff) | kLinuxEnables);
  EXPECT_TRUE(reaches_card());
  EXPECT_EQ(powers_, std::vector{true});
  EXPECT_NE(status() & kLinkChanged, 0U);
  EXPECT_EQ(sent(), 2U) << "the link came up";
  EXPECT_NE(read(RootPort::kExpressOffset + pci::kExpressLinkControl) &
                std::uint32_t{pci::kLinkStatusActive} << 16,
            0U);
}

// 6.7.3.4: a message when the AND becomes true, not while it stays so.
TEST_F(HotPlugTest, InterruptsAreEdges) {
  enable_msi();
  insert();
  EXPECT_EQ(sent(), 0U) << "nothing is enabled";
  set_control(control() | kButton);
  EXPECT_EQ(sent(), 0U) << "nor interrupts at all";
  set_control(control() | kInterrupt);
  EXPECT_EQ(sent(), 1U) << "what was pending counts";
  port_->press_attention_button();
  EXPECT_EQ(sent(), 1U) << "still pending";
  write(kSlot, kButton << 16, 0xffff0000);
  EXPECT_NE(status() & kPresenceChanged, 0U) << "only what was written is cleared";
  port_->press_attention_button();
  EXPECT_EQ(sent(), 2U);
}

TEST_F(HotPlugTest, WithoutMsiNothingIsSent) {
  set_control(control() | kLinuxEnables);
  insert();
  EXPECT_EQ(sent(), 0U);
  enable_msi();
  EXPECT_EQ(sent(), 1U) << "MSI is part of the condition";
}

TEST_F(HotPlugTest, SwitchingThePowerOffResetsTheCardAndTellsIt) {
  insert();
  set_control(kLinuxEnables);
  ASSERT_TRUE(reaches_card());
  port_->press_attention_button();
  EXPECT_TRUE(reaches_card()) << "asking takes nothing";
  set_control(kLinuxEnables | 2U << 8);
  EXPECT_EQ(port_->slot().power_indicator(), SlotIndicator::kBlink);
  set_control(kLinuxEnables | kPowerOff | 3U << 8);
  EXPECT_FALSE(reaches_card());
  EXPECT_EQ(listener_.resets, 1);
  EXPECT_EQ(powers_, (std::vector{true, false}));
  clear_events();
  port_->remove();
  EXPECT_TRUE(port_->detach(0));
  EXPECT_EQ(status(), kPresenceChanged) << "the link was down already";
}

TEST_F(HotPlugTest, ASurpriseTakesTheLinkAndIsAnEvent) {
  enable_msi();
  insert();
  set_control(kLinuxEnables);
  clear_events();
  const auto before = sent();
  port_->remove();
  EXPECT_EQ(status(), kPresenceChanged | kLinkChanged);
  EXPECT_EQ(sent(), before + 1);
  EXPECT_FALSE(reaches_card());
  EXPECT_EQ(read(RootPort::kExpressOffset + pci::kExpressLinkControl) >> 16 & 0x3ff, 0U)
      << "no width: nothing is there";
}

TEST_F(HotPlugTest, AResetLeavesTheCardWithPowerAndForgetsTheRest) {
  enable_msi();
  insert();
  set_control(kLinuxEnables | kPowerOff);
  port_->quiesce();
  EXPECT_TRUE(msi_.routes.empty());
  port_->reset();
  EXPECT_EQ(status(), kPresent);
  EXPECT_EQ(control(), 1U << 8 | 3U << 6);
  EXPECT_TRUE(reaches_card());
  EXPECT_EQ(read(capability(0x05)) >> 16 & 1, 0U) << "MSI is off";
  port_->remove();
  port_->reset();
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(control() & kPowerOff, kPowerOff);
}

TEST_F(HotPlugTest, APortWithoutSlotStaysAsItWas) {
  auto plain = RootPort::create({.name = "port-0", .device = 1, .slot = 1});
  ASSERT_TRUE(plain);
  (*plain)->insert({});
  (*plain)->press_attention_button();
  (*plain)->remove();
  EXPECT_EQ((*plain)->config_read(kSlot), 0U);
  EXPECT_FALSE((*plain)->is_hot_plug());
}

// A guest that writes what it likes: only the card's presence and power decide who reaches it, and
// events are never made up by a write.
TEST_F(HotPlugTest, HostileWrites) {
  std::mt19937 random(7);
  bool is_in = false;
  for (int i = 0; i < 20000; ++i) {
    if (i % 97 == 0) {
      if (is_in) {
        port_->remove();
      } else {
        port_->insert({});
      }
      is_in = !is_in;
    }
    const auto before = status() & kEvents;
    const auto value = static_cast<std::uint32_t>(random());
    write(kSlot, value, random() % 2 == 0 ? 0x0000ffff : 0xffffffff);
    const auto made = status() & kEvents & ~before;
    EXPECT_EQ(made & ~kLinkChanged, 0U);
    EXPECT_EQ((status() & kPresent) != 0, is_in);
    EXPECT_EQ(control() & ~0x17ebU, 0U) << "reserved bits";
  }
}

TEST(HotPlugSlot, InspectSaysAllOfIt) {
  HotPlugSlot slot;
  slot.insert();
  InspectNode node;
  slot.inspect(node);
  EXPECT_EQ(node.get("present"), "true");
  EXPECT_EQ(node.get("powered"), "false");
  EXPECT_EQ(node.get("power_indicator"), "off");
}

}  // namespace
}  // namespace gpuvm::hot_plug_slot_test
