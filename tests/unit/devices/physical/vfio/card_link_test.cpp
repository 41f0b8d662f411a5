// SPDX-License-Identifier: Apache-2.0
// The link of a virtual function's card, against a made-up sysfs.
#include "devices/physical/vfio/card_link.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::card_link_test {
namespace {

const std::string kCard = "0000:03:00.0";
const std::string kVirtual = "0000:03:02.0";
const std::string kCardBase = "/sys/bus/pci/devices/" + kCard;

class CardLinkTest : public testing::Test {
 protected:
  CardLinkTest() {
    host_.add_device(kCard, "0x020000", 3, "");
    host_.add_device(kVirtual, "0x020000", 4, "vfio-pci");
    host_.link("/sys/bus/pci/devices/" + kVirtual + "/physfn", "../" + kCard);
    host_.file(kCardBase + "/max_link_speed", "16.0 GT/s PCIe\n");
    host_.file(kCardBase + "/max_link_width", "16\n");
    set("8.0 GT/s PCIe", "8");
  }
  void set(const std::string& speed, const std::string& width) {
    host_.file(kCardBase + "/current_link_speed", speed + "\n");
    host_.file(kCardBase + "/current_link_width", width + "\n");
  }
  std::optional<vfio::CardLinkFiles> open(const std::string& function) {
    return vfio::CardLinkFiles::open(host_, *Bdf::parse(function));
  }

  FakeHost host_;
};

TEST_F(CardLinkTest, OnlyVirtualFunctionsAskTheirCard) {
  EXPECT_FALSE(open(kCard));
  EXPECT_FALSE(vfio::card_link_of(host_, *Bdf::parse(kCard)));
  EXPECT_FALSE(open("0000:09:00.0"));
}

// A guest's processor reads the register, and its thread opens no file (vmm/sandbox).
TEST_F(CardLinkTest, ItIsFollowedWithoutPaths) {
  const auto files = open(kVirtual);
  ASSERT_TRUE(files);
  const auto first = files->read();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->now, (PcieLink{.speed = 3, .width = 8}));
  EXPECT_EQ(first->best, (PcieLink{.speed = 4, .width = 16}));
  EXPECT_EQ(vfio::card_link_of(host_, *Bdf::parse(kVirtual))->now, first->now);
  set("2.5 GT/s PCIe", "8");
  std::filesystem::remove_all(host_.path("/sys"));
  const auto idle = files->read();
  ASSERT_TRUE(idle);
  EXPECT_EQ(idle->now, (PcieLink{.speed = 1, .width = 8}));
  EXPECT_EQ(idle->best, first->best);
}

TEST_F(CardLinkTest, WhatIsNoLinkIsNone) {
  const auto files = open(kVirtual);
  ASSERT_TRUE(files);
  for (const char* const width : {"0", "63", "255", "256", "-1", "x", ""}) {
    set("8.0 GT/s PCIe", width);
    EXPECT_FALSE(files->read()) << width;
  }
  set("Unknown", "8");
  EXPECT_FALSE(files->read());
}

}  // namespace
}  // namespace gpuvm::card_link_test
