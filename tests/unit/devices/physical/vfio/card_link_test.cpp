// SPDX-License-Identifier: Apache-2.0
// The link of a virtual function is its card's, as sysfs shows it now.
#include "devices/physical/vfio/card_link.hpp"

#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::card_link_test {
namespace {

const std::string kVirtual = "0000:04:10.0";
const std::string kCard = "0000:04:00.0";
const std::string kCardBase = "/sys/bus/pci/devices/" + kCard;

class CardLinkTest : public testing::Test {
 protected:
  CardLinkTest() {
    host_.add_device(kCard, "0x030200", 4, "nvidia");
    host_.add_device(kVirtual, "0x030200", 5, "vfio-pci");
    host_.link("/sys/bus/pci/devices/" + kVirtual + "/physfn", "../" + kCard);
    host_.file(kCardBase + "/current_link_speed", "8.0 GT/s PCIe\n");
    host_.file(kCardBase + "/current_link_width", "4\n");
    host_.file(kCardBase + "/max_link_speed", "16.0 GT/s PCIe\n");
    host_.file(kCardBase + "/max_link_width", "16\n");
  }
  std::optional<vfio::CardLinkReader> open(const std::string& name) const {
    const auto function = HostPciDevice::open(host_, *Bdf::parse(name));
    return vfio::CardLinkReader::open(host_, function.value());
  }

  FakeHost host_;
};

TEST_F(CardLinkTest, OfAVirtualFunctionItIsTheCardsAsItIsNow) {
  const auto reader = open(kVirtual);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->read()->now.speed, 3U);
  EXPECT_EQ(reader->read()->now.width, 4U);
  EXPECT_EQ(reader->read()->best.speed, 4U);
  EXPECT_EQ(reader->read()->best.width, 16U);
  host_.file(kCardBase + "/current_link_speed", "2.5 GT/s PCIe\n");
  host_.file(kCardBase + "/current_link_width", "16\n");
  EXPECT_EQ(reader->read()->now.speed, 1U);
  EXPECT_EQ(reader->read()->now.width, 16U);
}

TEST_F(CardLinkTest, ACardThatSleepsShowsNone) {
  host_.file(kCardBase + "/current_link_width", "255\n");
  EXPECT_FALSE(open(kVirtual)->read());
  host_.file(kCardBase + "/current_link_width", "4\n");
  host_.file(kCardBase + "/current_link_speed", "Unknown\n");
  EXPECT_FALSE(open(kVirtual)->read());
}

TEST_F(CardLinkTest, OtherFunctionsHaveTheirOwn) {
  EXPECT_FALSE(open(kCard));
}

TEST_F(CardLinkTest, NorIsThereOneWhereSysfsDoesNotSay) {
  std::filesystem::remove(host_.path(kCardBase + "/current_link_speed"));
  EXPECT_FALSE(open(kVirtual));
}

}  // namespace
}  // namespace gpuvm::card_link_test
