// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/guest_reset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::guest_reset_test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class GuestResetTest : public testing::Test {
 protected:
  GuestResetTest() {
    gpu_.set16(0, 0x10de);
    gpu_.set16(2, 0x2684);  // AD102, whose policy looks at registers and rests for 500 ms
    gpu_.registers[0] = 0x192000a1;
    gpu_.registers[0x118128] = 1;
    gpu_.registers[0x118234] = 0xff;
    PhysicalDevice* const device = &gpu_;
    auto plan = ResetPlan::create(host_, {&device, 1});
    EXPECT_TRUE(plan);
    plan_.emplace(*std::move(plan));
  }
  ResetCertificate check(ResetMethod method) {
    const ResetSet& set = plan_->sets().front();
    return check_guest_reset(*plan_, set, set.functions.front(), method, milliseconds(7),
                             time_.clock());
  }
  void expect_failure(ResetMethod method, const std::string& says) {
    const auto certificate = check(method);
    EXPECT_EQ(certificate.verdict, ResetVerdict::kFailed);
    EXPECT_THAT(certificate.text, HasSubstr(says));
  }

  History history_;
  FakeResetDevice gpu_{history_, "0000:01:00.0"};
  FakeResetHost host_{history_};
  FakeClock time_;
  std::optional<ResetPlan> plan_;
};

TEST_F(GuestResetTest, AWellFunctionGetsACertificate) {
  const auto certificate = check(ResetMethod::kFunctionReset);
  EXPECT_EQ(certificate.verdict, ResetVerdict::kVerified);
  EXPECT_EQ(certificate.functions, "0000:01:00.0");
  EXPECT_EQ(certificate.method, ResetMethod::kFunctionReset);
  EXPECT_EQ(certificate.duration, milliseconds(507));
  EXPECT_EQ(certificate.text, "function reset of 0000:01:00.0 in 507 ms, verified");
}

TEST_F(GuestResetTest, DecodeThatTheHostPutBackIsSwitchedOff) {
  gpu_.set16(4, 0x0006);
  EXPECT_TRUE(check(ResetMethod::kFunctionReset).is_safe());
  EXPECT_EQ(gpu_.get16(4), 0);
}

// It is the guest's driver that slows an idle GPU's link down, and no FLR brings it back.
TEST_F(GuestResetTest, ASlowLinkIsTheDriversBusiness) {
  gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0081);
  EXPECT_TRUE(check(ResetMethod::kFunctionReset).is_safe());
}

TEST_F(GuestResetTest, WhatIsWrongIsSaid) {
  gpu_.registers[0x1fa828] = 0x1ffffe00;
  expect_failure(ResetMethod::kFunctionReset, "WPR2_ADDR_HI) reads 0x1ffffe00");
  gpu_.registers.erase(0x1fa828);
  gpu_.set16(FakeResetDevice::kMsix + 2, 0x8003);
  expect_failure(ResetMethod::kFunctionReset, "MSI-X is still on");
  gpu_.set16(FakeResetDevice::kMsix + 2, 0x0003);
  gpu_.set16(2, 0x2685);
  expect_failure(ResetMethod::kFunctionReset, "is 10de:2685 class");
  gpu_.is_gone = true;
  expect_failure(ResetMethod::kFunctionReset, "did not answer within 60 s");
}

// A function that was not reset may look as well as it did.
TEST_F(GuestResetTest, AResetThatWasNotCarriedOutFailsWithoutALook) {
  const ResetSet& set = plan_->sets().front();
  const auto certificate = check_guest_reset(
      *plan_, set, set.functions.front(), ResetMethod::kFunctionReset, milliseconds(500),
      time_.clock(), Error(ErrorKind::kHost, "Function reset failed: Busy"));
  EXPECT_EQ(certificate.verdict, ResetVerdict::kFailed);
  EXPECT_EQ(certificate.text,
            "function reset of 0000:01:00.0 in 500 ms, failed; Function reset failed: Busy");
  EXPECT_TRUE(history_.empty());
}

// The driver goes on: interrupts, decode and what its firmware holds are as they were.
TEST_F(GuestResetTest, AfterD3hotOnlyIdentityAndPowerStateCount) {
  gpu_.make_busy();
  gpu_.registers[0x1fa828] = 0x1ffffe00;
  const auto certificate = check(ResetMethod::kPowerReset);
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  EXPECT_EQ(certificate.text, "power management reset of 0000:01:00.0 in 7 ms, verified");
  EXPECT_EQ(gpu_.get16(4), 0x0506);
  gpu_.set16(FakeResetDevice::kPower + 4, 3);
  expect_failure(ResetMethod::kPowerReset, "power state is not D0");
  gpu_.set16(FakeResetDevice::kPower + 4, 0);
  gpu_.set16(0x0a, 0x0403);
  expect_failure(ResetMethod::kPowerReset, "class 040300, but was");
}

}  // namespace
}  // namespace gpuvm::guest_reset_test
