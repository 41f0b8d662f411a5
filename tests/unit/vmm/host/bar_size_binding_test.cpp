// SPDX-License-Identifier: Apache-2.0
// BARs that change their sizes on the way to VFIO and back: driver_binding.hpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/vmm/host/driver_binding_fixture.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm::driver_binding_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BarSizeTest : public DriverBindingTest {
 protected:
  BarSizeTest() { host_.add_resizable_bar(kGpu, 1, 256_MiB, 0x7f00); }
  Result<DriverBinding> bind(std::optional<BarSizeChoice> choice) {
    return DriverBinding::create(host_, std::vector{BindRequest{bdf_of(kGpu), choice}});
  }
  std::uint64_t size() const {
    return HostPciDevice::open(host_, bdf_of(kGpu)).value().bars().value().front().size;
  }
  static constexpr BarSizeChoice kLargest = {};
};

TEST_F(BarSizeTest, BarIsResizedBetweenTheDriversAndBack) {
  {
    const auto binding = bind(kLargest);
    ASSERT_TRUE(binding) << binding.error().to_string();
    EXPECT_THAT(host_.writes, ElementsAre(kGpuPath + "/driver_override <- vfio-pci",
                                          kGpuPath + "/driver/unbind <- " + kGpu,
                                          kGpuPath + "/resource1_resize <- 14",
                                          "/sys/bus/pci/drivers_probe <- " + kGpu));
    EXPECT_EQ(size(), 16_GiB);
    EXPECT_TRUE(binding->has_resized(bdf_of(kGpu)));
    host_.writes.clear();
  }
  EXPECT_THAT(
      host_.writes,
      ElementsAre(kGpuPath + "/driver_override <- ", kGpuPath + "/driver/unbind <- " + kGpu,
                  kGpuPath + "/resource1_resize <- 8", "/sys/bus/pci/drivers_probe <- " + kGpu));
  EXPECT_EQ(size(), 256_MiB);
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(BarSizeTest, OldSizeIsOnDiskBeforeAnythingIsChanged) {
  std::optional<BindingRecord> at_first_write;
  host_.on_write = [&](const std::string&) {
    if (!at_first_write) {
      at_first_write = BindingRecord::parse(host_.read(kGpuRecord).value());
    }
  };
  ASSERT_TRUE(bind(kLargest));
  ASSERT_TRUE(at_first_write);
  EXPECT_EQ(at_first_write->bar_sizes, (BarSizes{0, 256_MiB, 0, 0, 0, 0}));
}

TEST_F(BarSizeTest, UsersOwnBindingIsGivenUpForTheResizeOnly) {
  host_.attach(kGpu, "vfio-pci");
  host_.own_driver[kGpu] = "";
  {
    ASSERT_TRUE(bind(kLargest));  // given back at once
  }
  EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
  EXPECT_EQ(size(), 256_MiB);
  host_.writes.clear();
  ASSERT_TRUE(bind(BarSizeChoice{.bar = 1, .size = 256_MiB}));
  EXPECT_THAT(host_.writes, IsEmpty());
}

TEST_F(BarSizeTest, ChoiceThatCannotBeTouchesNothing) {
  for (const BarSizeChoice& wrong :
       {BarSizeChoice{.bar = 0, .size = 0}, {.bar = 1, .size = 1_MiB}}) {
    const auto binding = bind(wrong);
    ASSERT_FALSE(binding);
    EXPECT_EQ(binding.error().kind(), ErrorKind::kConfig);
  }
  EXPECT_THAT(host_.writes, IsEmpty());
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(BarSizeTest, NoRoomLeavesTheHostAsItWas) {
  host_.largest_bar = 4_GiB;
  const auto binding = bind(kLargest);
  ASSERT_FALSE(binding);
  EXPECT_EQ(binding.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(binding.error().to_string(), HasSubstr("no room"));
  EXPECT_EQ(size(), 256_MiB);
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

/// As kill -9 leaves it.
class CrashedBarSizeTest : public BarSizeTest {
 protected:
  CrashedBarSizeTest() {
    host_.add_resizable_bar(kGpu, 1, 16_GiB, 0x7f00);
    host_.file(kGpuRecord, "driver=nouveau\ndriver_override=\nbar_size_1=268435456\nend\n");
    host_.file(kGpuPath + "/driver_override", "vfio-pci\n");
    host_.attach(kGpu, "vfio-pci");
  }
};

TEST_F(CrashedBarSizeTest, UnbindRestoresTheSize) {
  ASSERT_TRUE(*restore_binding(host_, bdf_of(kGpu)));
  EXPECT_EQ(size(), 256_MiB);
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
}

TEST_F(CrashedBarSizeTest, NextRunWithoutAChoiceHasTheHostsSize) {
  {
    const auto binding = bind(std::nullopt);
    ASSERT_TRUE(binding);
    EXPECT_EQ(size(), 256_MiB);
    EXPECT_TRUE(binding->has_resized(bdf_of(kGpu)));
    EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
  }
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
}

TEST_F(CrashedBarSizeTest, NextRunWithTheSameChoiceKeepsTheFirstOnesRecord) {
  {
    const auto binding = bind(kLargest);
    ASSERT_TRUE(binding);
    EXPECT_THAT(host_.writes, IsEmpty());
    EXPECT_FALSE(binding->has_resized(bdf_of(kGpu)));
    EXPECT_EQ(size(), 16_GiB);
  }
  EXPECT_EQ(size(), 256_MiB);
}

TEST_F(CrashedBarSizeTest, SizeThatCannotComeBackKeepsNobodyFromItsDriver) {
  host_.largest_bar = 128_MiB;
  const auto outcome = restore_binding(host_, bdf_of(kGpu));
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().to_string(), HasSubstr("no room"));
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  // Told once: the driver may use the BAR from now on.
  ASSERT_TRUE(*restore_binding(host_, bdf_of(kGpu)));
  EXPECT_EQ(size(), 16_GiB);
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

}  // namespace
}  // namespace gpuvm::driver_binding_test
