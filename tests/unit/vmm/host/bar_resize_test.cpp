// SPDX-License-Identifier: Apache-2.0
// resourceN_resize as Documentation/ABI/testing/sysfs-bus-pci describes it: a mask of sizes to
// read, a bit's number to write.
#include "vmm/host/bar_resize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::bar_resize_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kGpu = "0000:01:00.0";
const std::string kGpuPath = "/sys/bus/pci/devices/0000:01:00.0";

/// Errors that the kernel has for reasons which no fake knows.
class StubbornHost : public FakeHost {
 public:
  int try_write(std::string_view, std::string_view) const override { return error; }
  int error = 0;
};

class BarResizeTest : public testing::Test {
 protected:
  BarResizeTest() { furnish(host_); }
  /// As an AMD GPU: memory of 256 MiB to 16 GiB in BAR 0, doorbells of 2 to 256 MiB in BAR 2.
  static void furnish(FakeHost& host) {
    host.add_device(kGpu, "0x030000", 13, "");
    host.add_resizable_bar(kGpu, 2, 2_MiB, 0x1fe);
    host.add_resizable_bar(kGpu, 0, 256_MiB, 0x7f00);
  }
  Result<BarResize> plan(const BarSizeChoice& choice) {
    return plan_bar_resize(host_, bdf_of(kGpu), choice);
  }
  std::string refusal(const BarSizeChoice& choice) {
    const auto planned = plan(choice);
    if (planned) {
      return "accepted: " + planned->to_string();
    }
    EXPECT_EQ(planned.error().kind(), ErrorKind::kConfig);
    return planned.error().to_string();
  }
  static std::string failure(int error) {
    StubbornHost host;
    furnish(host);
    host.error = error;
    const auto done = resize_bar(host, bdf_of(kGpu), {0, 256_MiB, 16_GiB});
    return done ? "done" : done.error().to_string();
  }

  FakeHost host_;
};

TEST_F(BarResizeTest, TakesTheBarThatCanBecomeLargest) {
  EXPECT_EQ(plan({})->to_string(), "BAR 0: 256 MiB -> 16 GiB");
  EXPECT_EQ(plan({.bar = {}, .size = 1_GiB})->to_string(), "BAR 0: 256 MiB -> 1 GiB");
  EXPECT_EQ(plan({.bar = {}, .size = 256_MiB})->to_string(), "BAR 0: 256 MiB already");
  EXPECT_EQ(plan({.bar = 2, .size = 0})->to_string(), "BAR 2: 2 MiB -> 256 MiB");
  EXPECT_THAT(host_.writes, IsEmpty());
}

TEST_F(BarResizeTest, NamesTheSizesThatThereAre) {
  EXPECT_THAT(refusal({.bar = {}, .size = 32_GiB}),
              AllOf(HasSubstr("BAR 0 of 0000:01:00.0 cannot have 32 GiB"),
                    HasSubstr("256 MiB, 512 MiB, 1 GiB, 2 GiB, 4 GiB, 8 GiB, 16 GiB")));
  EXPECT_THAT(refusal({.bar = 2, .size = 1_MiB}), HasSubstr("cannot have 1 MiB"));
  EXPECT_THAT(refusal({.bar = {}, .size = 300_MiB}), HasSubstr("cannot have 300 MiB"));
}

TEST_F(BarResizeTest, RefusesBarsThatCannotBeResized) {
  EXPECT_THAT(refusal({.bar = 4, .size = 0}),
              HasSubstr("BAR 4 of 0000:01:00.0 cannot be resized; those that can: 0, 2"));
  for (const char* const mask : {"0000000000000000\n", "nonsense\n", ""}) {
    host_.file(kGpuPath + "/resource0_resize", mask);
    host_.file(kGpuPath + "/resource2_resize", mask);
    EXPECT_THAT(refusal({}), HasSubstr("has no BAR that can be resized"));
  }
  host_.link(kGpuPath + "/physfn", "../0000:01:00.1");
  EXPECT_THAT(refusal({}), HasSubstr("is a virtual function"));
}

TEST_F(BarResizeTest, WritesTheNumberOfTheBit) {
  ASSERT_TRUE(resize_bar(host_, bdf_of(kGpu), *plan({})));
  EXPECT_THAT(host_.writes, ElementsAre(kGpuPath + "/resource0_resize <- 14"));
  EXPECT_EQ(plan({})->to_string(), "BAR 0: 16 GiB already");
}

TEST_F(BarResizeTest, StepsGoToTheSizesThatAreNotThere) {
  const auto steps = steps_to_bar_sizes(host_, bdf_of(kGpu), {1_GiB, 0, 2_MiB, 0, 0, 0});
  ASSERT_TRUE(steps);
  ASSERT_EQ(steps->size(), 1U);
  EXPECT_EQ(steps->front().to_string(), "BAR 0: 256 MiB -> 1 GiB");
  EXPECT_THAT(*steps_to_bar_sizes(host_, bdf_of("0000:09:00.0"), {}), IsEmpty());
}

TEST_F(BarResizeTest, NamesTheBridgeThatHasNoRoom) {
  EXPECT_THAT(failure(ENOSPC), AllOf(HasSubstr("no room for BAR 0"), HasSubstr("its bus"),
                                     HasSubstr("Above 4G Decoding"), HasSubstr("pci=realloc")));
  StubbornHost host;
  host.error = ENOSPC;
  host.link(kGpuPath, "../../../devices/pci0000:00/0000:00:01.0/0000:00:1c.0/0000:01:00.0");
  host.directory("/sys/devices/pci0000:00/0000:00:01.0/0000:00:1c.0/0000:01:00.0");
  furnish(host);
  const auto done = resize_bar(host, bdf_of(kGpu), {0, 256_MiB, 16_GiB});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().to_string(), HasSubstr("the bridge 0000:00:01.0"));
}

TEST_F(BarResizeTest, TellsWhyTheKernelRefuses) {
  EXPECT_THAT(failure(EBUSY), HasSubstr("sriov_numvfs"));
  EXPECT_THAT(failure(524), HasSubstr("_DSM 5"));
  EXPECT_THAT(failure(EPERM), HasSubstr("run as root"));
  EXPECT_THAT(failure(EACCES), HasSubstr("run as root"));
  EXPECT_THAT(failure(EIO), HasSubstr("Input/output error"));
  EXPECT_THAT(failure(ETIMEDOUT), HasSubstr("has not come back for 60 s and may still do it"));
}

// Success of the write alone is none: the kernel may have done something else.
TEST_F(BarResizeTest, BelievesTheSizesOnly) {
  EXPECT_THAT(failure(0), HasSubstr("BAR 0 of 0000:01:00.0 has 256 MiB, although"));
}

TEST_F(BarResizeTest, NoticesABarThatLostItsAddress) {
  class CrowdedHost : public FakeHost {
   public:
    int try_write(std::string_view, std::string_view) const override {
      auto text = read(kGpuPath + "/resource").value();
      text.replace(text.find("0x0000003000000000 0x00000030001fffff"), 37,
                   "0x0000000000000000 0x00000000001fffff");
      file(kGpuPath + "/resource", text);
      add_resizable_bar(kGpu, 0, 16_GiB, 0x7f00);
      return 0;
    }
  } host;
  furnish(host);
  const auto done = resize_bar(host, bdf_of(kGpu), {0, 256_MiB, 16_GiB});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().to_string(), HasSubstr("BAR 2 of 0000:01:00.0 lost its address"));
}

}  // namespace
}  // namespace gpuvm::bar_resize_test
