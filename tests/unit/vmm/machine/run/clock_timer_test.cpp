// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/clock_timer.hpp"

#include <gtest/gtest.h>

namespace gpuvm::clock_timer_test {
namespace {

using namespace std::chrono_literals;

class ClockTimerTest : public testing::Test {
 protected:
  boost::asio::io_context context_{1};
  unsigned expired_ = 0;
  ClockTimer timer_{context_, [this] { ++expired_; }};
};

TEST_F(ClockTimerTest, TellsWhenTheTimeHasPassed) {
  timer_.arm(1ms);
  context_.run();
  EXPECT_EQ(expired_, 1U);
}

TEST_F(ClockTimerTest, TheLastWishCounts) {
  timer_.arm(24h);
  context_.poll();
  timer_.arm(1ms);
  context_.restart();
  context_.run();
  EXPECT_EQ(expired_, 1U);
  timer_.arm(1ms);
  timer_.arm(std::nullopt);
  context_.restart();
  context_.run();
  EXPECT_EQ(expired_, 1U);
}

TEST_F(ClockTimerTest, NothingCancelsWhatIsWaitedFor) {
  timer_.arm(24h);
  context_.poll();
  timer_.arm(std::nullopt);
  context_.restart();
  context_.run();  // ends: nothing is waited for
  EXPECT_EQ(expired_, 0U);
}

// Register B switched to and fro is a wish with each write; the control thread may be busy.
TEST_F(ClockTimerTest, AGuestThatWritesToItsClockAllTheTimeIsOnePieceOfWork) {
  for (unsigned i = 0; i < 1000; ++i) {
    timer_.arm(24h);
    timer_.arm(std::nullopt);
  }
  EXPECT_EQ(context_.poll(), 1U);
  timer_.arm(1ms);  // it looks again
  context_.restart();
  context_.run();
  EXPECT_EQ(expired_, 1U);
}

}  // namespace
}  // namespace gpuvm::clock_timer_test
