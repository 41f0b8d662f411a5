// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/upstream_port.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_slot.hpp"

namespace gpuvm::upstream_port_test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// A port whose link takes some looks to train.
class TrainingHost : public FakeHost {
 public:
  Status write_bytes(std::string_view absolute, std::uint64_t offset,
                     std::span<const std::byte> bytes) const override {
    writes.push_back(fmt::format("{}+{:#x} <- {:#x}", absolute, offset, load_le(bytes)));
    return {};
  }
};

class UpstreamPortTest : public testing::Test {
 protected:
  UpstreamPortTest() { slot_.plug(); }
  HostSleep sleep() {
    return [this](milliseconds time) {
      slept_ += time;
      if (on_sleep_) {
        on_sleep_();
      }
    };
  }
  UpstreamPort port() { return UpstreamPort::above(host_, bdf_of(slot_.kAudio)).value(); }

  TrainingHost host_;
  FakeSlot slot_{host_};
  milliseconds slept_{0};
  std::function<void()> on_sleep_;
};

TEST_F(UpstreamPortTest, IsTheFunctionAboveInTheTree) {
  EXPECT_EQ(port().bdf(), bdf_of(slot_.kPort));
  EXPECT_THAT(port().functions(), ElementsAre(bdf_of(slot_.kGpu), bdf_of(slot_.kAudio)));
  const auto none = UpstreamPort::above(host_, bdf_of(slot_.kPort));
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().to_string(), HasSubstr("root bus"));
}

TEST_F(UpstreamPortTest, HasALinkOfItsOwn) {
  slot_.set_port(FakeSlot::kUpstreamOfSwitch);
  EXPECT_FALSE(UpstreamPort::above(host_, bdf_of(slot_.kGpu)));
  host_.file("/sys/bus/pci/devices/" + slot_.kPort + "/config", std::string(64, '\xff'));
  const auto hidden = UpstreamPort::above(host_, bdf_of(slot_.kGpu));
  ASSERT_FALSE(hidden);
  EXPECT_THAT(hidden.error().to_string(), HasSubstr("root only"));
  host_.file("/sys/bus/pci/devices/" + slot_.kPort + "/config", std::string(256, '\xff'));
  EXPECT_FALSE(UpstreamPort::above(host_, bdf_of(slot_.kGpu))) << "a chain without an end";
}

TEST_F(UpstreamPortTest, BelongsToWhoHasAllBelowIt) {
  EXPECT_TRUE(port().check_owned(std::vector<Bdf>{bdf_of(slot_.kGpu), bdf_of(slot_.kAudio)}));
  const Status refused = port().check_owned(std::vector<Bdf>{bdf_of(slot_.kGpu)});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr(slot_.kAudio));
}

TEST_F(UpstreamPortTest, TrainingSetsTheBitAndWaitsForTheLink) {
  ASSERT_TRUE(port().retrain(sleep()));
  EXPECT_THAT(host_.writes,
              ElementsAre("/sys/bus/pci/devices/" + slot_.kPort + "/config+0x58 <- 0x20"));
  slot_.set_port(FakeSlot::kRootPort, 0, 0x0803);  // in training, and not up
  int looks = 0;
  on_sleep_ = [&] {
    ++looks;
    slot_.set_port(FakeSlot::kRootPort, 0, looks < 3 ? 0x0803 : looks < 6 ? 0x0003 : 0x2083);
  };
  ASSERT_TRUE(port().retrain(sleep()));
  EXPECT_EQ(looks, 6) << "until the training has ended and the link is up";
}

TEST_F(UpstreamPortTest, LinkThatStaysDownIsTold) {
  slot_.set_port(FakeSlot::kRootPort, 0, 0x0003);
  const Status down = port().retrain(sleep());
  ASSERT_FALSE(down);
  EXPECT_THAT(down.error().to_string(), AllOf(HasSubstr(slot_.kPort), HasSubstr("is not up")));
  EXPECT_LE(slept_, milliseconds(1010));
  slot_.set_port(FakeSlot::kRootPort, 0, 0x0803);
  host_.writes.clear();
  EXPECT_FALSE(port().retrain(sleep()));
  EXPECT_TRUE(host_.writes.empty()) << "a training that never ends is not begun again";
}

TEST_F(UpstreamPortTest, PowerSwitchIsThatOfTheSlotAndOnlyWithAController) {
  EXPECT_EQ(port().power_switch(bdf_of(slot_.kAudio)).value(), slot_.kPower);
  slot_.set_port(FakeSlot::kRootPort, 0);
  const auto none = port().power_switch(bdf_of(slot_.kGpu));
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().to_string(), HasSubstr("no power controller"));
  slot_.set_port(FakeSlot::kRootPort);
  host_.file("/sys/bus/pci/devices/" + slot_.kPort + "/vendor", "0x1b36\n");
  const auto emulated = port().power_switch(bdf_of(slot_.kGpu));
  ASSERT_FALSE(emulated);
  EXPECT_THAT(emulated.error().to_string(), HasSubstr("unplugs"));
  host_.file("/sys/bus/pci/devices/" + slot_.kPort + "/vendor", "0x8086\n");
  host_.file("/sys/bus/pci/slots/7/address", "0000:02:00\n");
  const auto others = port().power_switch(bdf_of(slot_.kGpu));
  ASSERT_FALSE(others);
  EXPECT_THAT(others.error().to_string(), HasSubstr("pciehp"));
}

}  // namespace
}  // namespace gpuvm::upstream_port_test
