// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/guest_function_reset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::guest_function_reset_test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

const GuestReset kFunctionLevel{GuestReset::Kind::kFunctionLevel};
const GuestReset kPowerUp{GuestReset::Kind::kPowerUp};

class GuestFunctionResetTest : public testing::Test {
 protected:
  GuestFunctionReset make(const FunctionResetOptions& options = {}) {
    PhysicalDevice* const device = &gpu_;
    book_.remove(gpu_.name());
    EXPECT_TRUE(book_.add(gpu_, options));
    auto plan = book_.plan({&device, 1});
    EXPECT_TRUE(plan);
    return GuestFunctionReset(
        {.name = "gpu0",
         .book = book_,
         .plan = *plan,
         .clock = time_.clock(),
         .on_reset = [this](std::string_view reason, const auto& certificate) {
           told_.push_back(std::string(reason) + ": " +
                           std::string(to_string(certificate.verdict)));
         }});
  }
  void set_ids(std::uint16_t vendor, std::uint16_t device) {
    gpu_.set16(0, vendor);
    gpu_.set16(2, device);
  }

  History history_;
  FakeResetDevice gpu_{history_, "0000:01:00.0"};
  FakeResetHost host_{history_};
  ResetBook book_{host_};
  FakeClock time_;
  std::vector<std::string> told_;
};

TEST_F(GuestFunctionResetTest, EachResetIsToldWithItsVerdict) {
  GuestFunctionReset reset = make();
  EXPECT_TRUE(reset.after(kFunctionLevel, milliseconds(1)));
  EXPECT_TRUE(reset.after(kPowerUp, milliseconds(1)));
  gpu_.is_gone = true;
  EXPECT_FALSE(reset.after(kFunctionLevel, milliseconds(1)));
  EXPECT_THAT(told_, ElementsAre("guest function reset: verified", "guest power up: verified",
                                 "guest function reset: failed"));
  InspectNode node;
  reset.inspect(node);
  EXPECT_EQ(node.get("resets"), "3");
  EXPECT_EQ(node.get("failures"), "1");
}

// Lines of the log are limited, certificates are not.
TEST_F(GuestFunctionResetTest, EachIsToldHoweverManyResetsThereWere) {
  GuestFunctionReset reset = make();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(reset.after(kFunctionLevel, milliseconds(1)));
  }
  EXPECT_EQ(told_.size(), 1000U);
  told_.clear();
  gpu_.is_gone = true;
  EXPECT_FALSE(reset.after(kFunctionLevel, milliseconds(1)));
  EXPECT_THAT(told_, ElementsAre("guest function reset: failed"));
}

TEST_F(GuestFunctionResetTest, AResetThatWasNotCarriedOutIsAFailure) {
  GuestFunctionReset reset = make();
  const GuestReset refused{GuestReset::Kind::kFunctionLevel, Error(ErrorKind::kHost, "Busy")};
  EXPECT_FALSE(reset.after(refused, milliseconds(1)));
  EXPECT_THAT(told_, ElementsAre("guest function reset: failed"));
}

// One that passes leaves the link unseen, one that fails is a method that does not help.
TEST_F(GuestFunctionResetTest, OnlyAResetThatFailsTeachesTheBook) {
  PhysicalDevice* const device = &gpu_;
  host_.sets = {{member("0000:01:00.0")}};
  GuestFunctionReset reset = make();
  const ResetPlan machine = book_.plan({&device, 1}).value();
  const auto first = [&] { return book_.current(machine).sets()[0].rungs.front(); };
  const ResetCertificate helped_after_hot_reset{.names = {"0000:01:00.0"},
                                                .method = ResetMethod::kFunctionReset,
                                                .did_not_help = {ResetMethod::kHotReset}};
  book_.learn(helped_after_hot_reset);
  ASSERT_EQ(first(), ResetMethod::kFunctionReset);
  gpu_.is_gone = true;
  EXPECT_FALSE(reset.after(kFunctionLevel, milliseconds(1)));
  EXPECT_EQ(first(), ResetMethod::kHotReset) << "neither helped: the usual order";
  book_.learn({.names = {"0000:01:00.0"}, .method = ResetMethod::kHotReset});
  gpu_.is_gone = false;
  EXPECT_TRUE(reset.after(kFunctionLevel, milliseconds(1)));
  book_.learn({.names = {"0000:01:00.0"},
               .method = ResetMethod::kNone,
               .did_not_help = {ResetMethod::kHotReset}});
  EXPECT_EQ(first(), ResetMethod::kHotReset) << "the guest's reset is no proof";
}

TEST_F(GuestFunctionResetTest, FunctionThatKeepsItsStateInD3hotIsNotReset) {
  gpu_.set16(FakeResetDevice::kPower + 4, 1 << 3);  // No_Soft_Reset
  GuestFunctionReset reset = make();
  gpu_.is_gone = true;
  EXPECT_TRUE(reset.after(kPowerUp, milliseconds(1)));
  EXPECT_TRUE(told_.empty());
}

TEST_F(GuestFunctionResetTest, FlrIsHiddenWhereItLosesTheDevice) {
  EXPECT_FALSE(make().is_hidden());
  set_ids(0x10de, 0x2c05);  // GB203, for which it is the best
  EXPECT_FALSE(make().is_hidden());
  set_ids(0x10de, 0x2b85);  // GB202
  EXPECT_TRUE(make().is_hidden());
  EXPECT_TRUE(make({.method = ResetMethod::kHotReset}).is_hidden());
  EXPECT_FALSE(make({.method = ResetMethod::kFunctionReset}).is_hidden());
  set_ids(0x1234, 0x5678);
  EXPECT_TRUE(make({.method = ResetMethod::kNone}).is_hidden());
}

}  // namespace
}  // namespace gpuvm::guest_function_reset_test
