// SPDX-License-Identifier: Apache-2.0
// A function that nobody opened, by its sysfs, and the same one opened: both sources say the same,
// and the guest would see the same.
#include "vmm/machine/devices/sysfs_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "devices/passthrough/function_plan.hpp"
#include "devices/pci/capability_chain.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::sysfs_facts_test {
namespace {

const std::string kName = "0000:01:00.0";
const std::string kPlace = "/sys/bus/pci/devices/" + kName;
const std::string kNone = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";

class SysfsFactsTest : public testing::Test {
 protected:
  void show(const std::vector<std::byte>& config, const std::string& resource) {
    host_.add_device(kName, "0x0c0330", 1, "");
    host_.file(kPlace + "/vendor", "0x1033\n");
    host_.file(kPlace + "/device", "0x0194\n");
    host_.file(kPlace + "/config",
               std::string(reinterpret_cast<const char*>(config.data()), config.size()));
    host_.file(kPlace + "/resource", resource);
  }
  FunctionFacts facts() {
    return sysfs_facts(host_, HostPciDevice::open(host_, bdf_of(kName)).value());
  }

  FakeHost host_;
};

TEST_F(SysfsFactsTest, SayWhatTheOpenedDeviceSays) {
  show(test::upd720200_config(), "0x00000000f7c00000 0x00000000f7c01fff 0x0000000000140204\n" +
                                     kNone + kNone + kNone + kNone + kNone + kNone);
  test::FakePhysicalDevice device(test::upd720200_config(), kName);
  device.add_bar(0, 0x2000);
  device.set_irq(IrqType::kIntx, 1);
  device.set_irq(IrqType::kMsi, 8);
  device.set_irq(IrqType::kMsix, 8);
  const auto closed = facts();
  const auto opened = FunctionFacts::read(device).value();
  EXPECT_TRUE(closed.offers.is_complete);
  EXPECT_EQ(closed.config, opened.config);
  EXPECT_EQ(closed.ids, opened.ids);
  EXPECT_EQ(closed.class_code, opened.class_code);
  EXPECT_EQ(closed.bars, opened.bars);
  EXPECT_EQ(closed.msix, opened.msix);
  EXPECT_EQ(closed.msi.has_value(), opened.msi.has_value());
  for (const auto mode : {MsixRelocation::Mode::kOff, MsixRelocation::Mode::kAuto}) {
    const FunctionView view{.msix_relocation = {.mode = mode}};
    const FunctionPlace place{.multi_function = true, .link = PcieLink{2, 1}};
    const auto preview = FunctionPlan::create(kName, closed, view, place).value();
    const auto start = FunctionPlan::create(kName, opened, view, place).value();
    EXPECT_EQ(preview.bars, start.bars);
    EXPECT_EQ(preview.msix.shown, start.msix.shown);
    InspectNode previewed;
    InspectNode started;
    preview.patch.inspect(previewed);
    start.patch.inspect(started);
    EXPECT_EQ(previewed.to_text(), started.to_text());
  }
}

TEST_F(SysfsFactsTest, VirtualFunctionHasTheKernelsIdsAndItsCardsLink) {
  auto config = test::upd720200_config();
  std::fill_n(config.begin(), 4, std::byte{0xff});
  show(config, kNone + kNone + kNone + kNone + kNone + kNone + kNone);
  host_.add_device("0000:01:00.1", "0x0c0330", 1, "");
  host_.link(kPlace + "/physfn", "../0000:01:00.1");
  const std::string parent = "/sys/bus/pci/devices/0000:01:00.1/";
  host_.file(parent + "current_link_speed", "8.0 GT/s PCIe\n");
  host_.file(parent + "current_link_width", "4\n");
  host_.file(parent + "max_link_speed", "16.0 GT/s PCIe\n");
  host_.file(parent + "max_link_width", "8\n");
  EXPECT_EQ(config_dword(facts().config, 0), 0x01941033U);
  EXPECT_EQ(facts().ids, (RomIds{0x1033, 0x0194}));
  EXPECT_EQ(facts().link, (PcieLink{3, 4}));
  EXPECT_EQ(facts().link_capability, (PcieLink{4, 8}));
  host_.file(parent + "current_link_speed", "Unknown\n");
  EXPECT_EQ(facts().link, FunctionFacts::parse(config, {}).link) << "as its own registers say";
}

TEST_F(SysfsFactsTest, BarHasTheSizeThatItWillHave) {
  auto config = test::upd720200_config();
  config.resize(4096);
  store_le(std::span(config).subspan(0x100, 4), 0x00010015);  // the only extended capability
  store_le(std::span(config).subspan(0x104, 4), 0x0007f000);  // 256 MiB to 16 GiB
  store_le(std::span(config).subspan(0x108, 4), 0x00000821);  // one BAR, number 1, 256 MiB
  show(config, "");
  host_.add_resizable_bar(kName, 1, 256_MiB, 0x7f00);
  auto known = facts();
  ASSERT_TRUE(take_bar_size(known, host_, bdf_of(kName), std::nullopt));
  EXPECT_EQ(known.bars.at(1)->size, 256_MiB);
  ASSERT_TRUE(take_bar_size(known, host_, bdf_of(kName), BarSizeChoice{}));
  EXPECT_EQ(known.bars.at(1)->size, 16_GiB);
  EXPECT_EQ(known.offers.regions.at(1).size, 16_GiB);
  EXPECT_EQ(config_dword(known.config, 0x108), 0x00000e21U);
  EXPECT_FALSE(
      take_bar_size(known, host_, bdf_of(kName), BarSizeChoice{.bar = {}, .size = 32_GiB}));
}

TEST_F(SysfsFactsTest, WhatSysfsKeepsBackIsNoRefusal) {
  auto config = test::upd720200_config();
  config.resize(64);
  show(config, "0x00000000f7c00000 0x00000000f7c01fff 0x0000000000140204\n" + kNone + kNone +
                   kNone + kNone + kNone + kNone);
  EXPECT_FALSE(facts().offers.is_complete);
  const FunctionView view{.msix_relocation = {.mode = MsixRelocation::Mode::kBar, .bar = 4}};
  EXPECT_TRUE(FunctionPlan::create(kName, facts(), view, {})) << "the start will tell";
  show(test::upd720200_config(), "nonsense\n");
  EXPECT_FALSE(facts().offers.is_complete);
  EXPECT_TRUE(facts().msix) << "announced; whether it is in a BAR nobody knows";
}

}  // namespace
}  // namespace gpuvm::sysfs_facts_test
