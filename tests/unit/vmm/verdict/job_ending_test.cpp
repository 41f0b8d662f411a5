// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/job_ending.hpp"

#include <gtest/gtest.h>

namespace gpuvm::job_ending_test {
namespace {

using std::chrono::seconds;
using Step = JobEnding::Step;
using TimePoint = JobEnding::TimePoint;

constexpr EndingTimes kTimes = {.own_end = seconds(20),
                                .pattern_rest = seconds(3),
                                .power_off = seconds(10),
                                .panic_silence = seconds(10),
                                .panic_most = seconds(120)};

TimePoint at(int second) {
  return TimePoint(std::chrono::hours(1)) + seconds(second);
}

/// The step that is due first, and when; each step is asked for at its own time.
std::optional<Step> next_step(JobEnding& ending, TimePoint expected) {
  EXPECT_EQ(ending.next(), expected) << (ending.next().value_or(at(0)) - at(0)).count();
  EXPECT_EQ(ending.due(expected - std::chrono::milliseconds(1)), std::nullopt);
  return ending.due(expected);
}

TEST(Ending, NothingIsDueWithoutAWord) {
  JobEnding ending(kTimes);
  ending.found(EndingCause::kNothing, at(0));
  ending.console_output(at(0));
  EXPECT_FALSE(ending.has_begun());
  EXPECT_EQ(ending.next(), std::nullopt);
  EXPECT_EQ(ending.due(at(100000)), std::nullopt);
}

TEST(Ending, AfterAStatusTheGuestMayEndByItself) {
  JobEnding ending(kTimes);
  ending.found(EndingCause::kStatus, at(0));
  EXPECT_TRUE(ending.has_begun());
  EXPECT_EQ(next_step(ending, at(20)), Step::kPressPowerButton);
  EXPECT_EQ(next_step(ending, at(30)), Step::kStop);
  EXPECT_EQ(ending.next(), std::nullopt);
  EXPECT_EQ(ending.due(at(1000)), std::nullopt);
}

TEST(Ending, AFurtherWordGivesNoMoreTime) {
  JobEnding ending(kTimes);
  ending.found(EndingCause::kPattern, at(0));
  ending.found(EndingCause::kStatus, at(2));
  EXPECT_EQ(next_step(ending, at(3)), Step::kPressPowerButton);
  EXPECT_EQ(next_step(ending, at(13)), Step::kStop);
}

TEST(Ending, ALimitPressesTheButtonAtOnce) {
  JobEnding ending(kTimes);
  ending.limit_over(at(5));
  EXPECT_EQ(next_step(ending, at(5)), Step::kPressPowerButton);
  EXPECT_EQ(next_step(ending, at(15)), Step::kStop);
}

TEST(Ending, AfterAPanicWhenItIsQuiet) {
  JobEnding ending(kTimes);
  ending.found(EndingCause::kPanic, at(0));
  ending.console_output(at(4));
  EXPECT_EQ(next_step(ending, at(14)), Step::kStop);
}

TEST(Ending, AfterAPanicThatGoesOnPrinting) {
  JobEnding ending(kTimes);
  ending.found(EndingCause::kPanic, at(0));
  ending.console_output(at(119));
  EXPECT_EQ(next_step(ending, at(120)), Step::kStop);
}

TEST(Ending, ACrashKernelMayBeQuiet) {
  for (const bool is_first : {true, false}) {
    JobEnding ending(kTimes);
    ending.found(is_first ? EndingCause::kCrashKernel : EndingCause::kPanic, at(0));
    ending.found(is_first ? EndingCause::kPanic : EndingCause::kCrashKernel, at(0));
    EXPECT_EQ(next_step(ending, at(120)), Step::kStop);
  }
}

TEST(Ending, APanicAfterAStatusIsStoppedNoLaterThanTheStatusSays) {
  JobEnding ending(kTimes);
  ending.found(EndingCause::kStatus, at(0));
  ending.found(EndingCause::kPanic, at(1));
  ending.console_output(at(29));
  EXPECT_EQ(next_step(ending, at(30)), Step::kStop);  // and nobody is there to hear the button
}

TEST(Ending, AtOnce) {
  JobEnding ending(kTimes);
  ending.stop_now(at(7));
  EXPECT_EQ(next_step(ending, at(7)), Step::kStop);
}

}  // namespace
}  // namespace gpuvm::job_ending_test
