// SPDX-License-Identifier: Apache-2.0
// RebootBackoff with a clock of its own.
#include "vmm/control/reboot_backoff.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gpuvm::reboot_backoff_test {
namespace {

using std::chrono::seconds;

class RebootBackoffTest : public testing::Test {
 protected:
  /// The wait after a life of so long.
  long wait_after(seconds life) {
    backoff_.begin(now_);
    now_ += life;
    const auto wait = backoff_.end(now_);
    now_ += wait;
    return wait.count();
  }
  RebootBackoff backoff_{seconds(60)};
  RebootBackoff::Clock::time_point now_{};
};

TEST_F(RebootBackoffTest, ALoopWaitsLongerAndLonger) {
  std::vector<long> waits;
  for (unsigned i = 0; i < 14; ++i) {
    waits.push_back(wait_after(seconds(3)));
  }
  EXPECT_EQ(waits, (std::vector<long>{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60}));
  EXPECT_EQ(backoff_.short_lives(), 14U);
}

TEST_F(RebootBackoffTest, OrdinaryRebootsNeverWaitAndALongLifeClearsTheRecord) {
  for (unsigned i = 0; i < 100; ++i) {
    EXPECT_EQ(wait_after(RebootBackoff::kShortLife), 0);
  }
  for (unsigned i = 0; i < 8; ++i) {
    wait_after(seconds(0));
  }
  EXPECT_EQ(wait_after(seconds(20)), 4) << "neither short nor long: as before";
  EXPECT_EQ(wait_after(RebootBackoff::kLongLife), 0);
  EXPECT_EQ(wait_after(seconds(0)), 0);
}

TEST_F(RebootBackoffTest, ZeroIsNoWaitAndManyRebootsAreNoOverflow) {
  RebootBackoff none(seconds(0));
  RebootBackoff hour(seconds(3600));
  for (unsigned i = 0; i < 200; ++i) {
    EXPECT_EQ(none.end(now_).count(), 0);
    EXPECT_LE(hour.end(now_).count(), 3600);
  }
  EXPECT_EQ(hour.end(now_).count(), 3600);
}

}  // namespace
}  // namespace gpuvm::reboot_backoff_test
