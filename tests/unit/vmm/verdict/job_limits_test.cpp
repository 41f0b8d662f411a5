// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/job_limits.hpp"

#include <gtest/gtest.h>

namespace gpuvm::job_limits_test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using TimePoint = LimitClock::TimePoint;

TimePoint at(int second) {
  return TimePoint(hours(1)) + seconds(second);
}

TEST(Limits, NoneUntilTheGuestRuns) {
  LimitClock clock({.timeout = seconds(10), .first_console = seconds(5), .console = seconds(3)});
  EXPECT_EQ(clock.next(), std::nullopt);
  EXPECT_EQ(clock.expired(at(1000)), std::nullopt);
}

TEST(Limits, NoneWhereNoneIsSet) {
  LimitClock clock({});
  clock.guest_runs(at(0));
  clock.console_output(at(1));
  EXPECT_EQ(clock.next(), std::nullopt);
  EXPECT_EQ(clock.expired(at(1'000'000)), std::nullopt);
}

TEST(Limits, OfAllCountsFromTheFirstInstructionAlsoAcrossReboots) {
  LimitClock clock({.timeout = seconds(10)});
  clock.guest_runs(at(0));
  clock.guest_rests();
  clock.guest_runs(at(8));
  EXPECT_EQ(clock.next(), at(10));
  EXPECT_EQ(clock.expired(at(9)), std::nullopt);
  EXPECT_EQ(clock.expired(at(10)), JobLimit::kTimeout);
}

TEST(Limits, TheFirstByteEndsItsLimit) {
  LimitClock clock({.first_console = seconds(5)});
  clock.guest_runs(at(0));
  EXPECT_EQ(clock.expired(at(5)), JobLimit::kFirstConsole);
  clock.console_output(at(4));
  EXPECT_EQ(clock.expired(at(500)), std::nullopt);
  EXPECT_EQ(clock.next(), std::nullopt);
}

TEST(Limits, SilenceCountsFromTheLastByte) {
  LimitClock clock({.first_console = seconds(30), .console = seconds(3)});
  clock.guest_runs(at(0));
  EXPECT_EQ(clock.next(), at(30));  // until the first byte the other one holds
  clock.console_output(at(10));
  EXPECT_EQ(clock.next(), at(13));
  clock.console_output(at(12));
  EXPECT_EQ(clock.expired(at(14)), std::nullopt);
  EXPECT_EQ(clock.expired(at(15)), JobLimit::kConsole);
}

TEST(Limits, SilenceFromTheStartWhereTheFirstByteHasNoLimit) {
  LimitClock clock({.console = seconds(3)});
  clock.guest_runs(at(0));
  EXPECT_EQ(clock.expired(at(3)), JobLimit::kConsole);
}

TEST(Limits, AGuestThatRestsIsNotSilent) {
  LimitClock clock({.timeout = seconds(100), .console = seconds(3)});
  clock.guest_runs(at(0));
  clock.console_output(at(1));
  clock.guest_rests();
  EXPECT_EQ(clock.next(), at(100));
  EXPECT_EQ(clock.expired(at(50)), std::nullopt);
  clock.guest_runs(at(50));
  EXPECT_EQ(clock.expired(at(52)), std::nullopt);
  EXPECT_EQ(clock.expired(at(53)), JobLimit::kConsole);
}

TEST(Limits, TheOneForAllIsToldFirst) {
  LimitClock clock({.timeout = seconds(3), .first_console = seconds(3), .console = seconds(3)});
  clock.guest_runs(at(0));
  EXPECT_EQ(clock.expired(at(3)), JobLimit::kTimeout);
}

TEST(Limits, AsText) {
  EXPECT_EQ(duration_text(milliseconds(7)), "7 ms");
  EXPECT_EQ(duration_text(milliseconds(1500)), "1.5 s");
  EXPECT_EQ(duration_text(seconds(0)), "0s");
  EXPECT_EQ(duration_text(seconds(90)), "1min 30s");
  EXPECT_EQ(duration_text(minutes(90)), "1h 30min");
  EXPECT_EQ(duration_text(hours(2)), "2h");
  EXPECT_STREQ(limit_name(JobLimit::kConsole), "console_timeout");
}

}  // namespace
}  // namespace gpuvm::job_limits_test
