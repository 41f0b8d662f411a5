// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/guest_tally.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace gpuvm::guest_tally_test {
namespace {

using State = LifecycleState;
using std::chrono::seconds;

GuestTally::Time at(int second) {
  return GuestTally::Time(seconds(1'700'000'000 + second));
}

GuestEvent change(int second, State from, State to) {
  GuestEvent event{.what = StateChange{.from = from, .to = to}};
  event.time = at(second);
  return event;
}

TEST(GuestTally, CountsLivesAndTheTimeSinceTheFirst) {
  GuestTally tally(at(0));
  EXPECT_EQ(tally.uptime(at(5)).count(), 0);
  tally.add(change(10, State::kResetting, State::kRunning));
  tally.add(change(20, State::kRunning, State::kPaused));
  tally.add(change(30, State::kPaused, State::kRunning));
  EXPECT_EQ(tally.lives(), 1U) << "a pause is no new life";
  tally.add(change(40, State::kRunning, State::kRebooting));
  tally.add(change(50, State::kRebooting, State::kRunning));
  EXPECT_EQ(tally.lives(), 2U);
  EXPECT_EQ(tally.state(), State::kRunning);
  EXPECT_EQ(tally.since(), at(50));
  EXPECT_EQ(tally.uptime(at(60)), seconds(50));
  EXPECT_EQ(tally.uptime(at(1)).count(), 0) << "the clock was set back";
  EXPECT_EQ(tally.events(), 5U);
}

TEST(GuestTally, AddsResetsUpByTheirKind) {
  GuestTally tally(at(0));
  for (int i = 0; i < 3; ++i) {
    tally.add(GuestEvent{.what = DevicesReset{.reason = "reboot",
                                              .functions = "0000:01:00.0",
                                              .verdict = "verified",
                                              .duration_ms = 100}});
  }
  ASSERT_EQ(tally.resets().size(), 1U);
  EXPECT_EQ(tally.resets().begin()->second.count, 3U);
  EXPECT_EQ(tally.resets().begin()->second.milliseconds, 300U);
}

TEST(GuestTally, KindsOfResetsAreBounded) {
  GuestTally tally(at(0));
  for (int i = 0; i < 10000; ++i) {
    tally.add(GuestEvent{.what = DevicesReset{.reason = std::to_string(i)}});
  }
  EXPECT_LE(tally.resets().size(), GuestTally::kMostKinds + 1);
  EXPECT_EQ(tally.events(), 10000U);
}

TEST(EventRing, ForgetsTheOldestByWholeLines) {
  EventRing ring;
  const auto* const memory = ring.lines().data();
  std::size_t most = 0;
  for (int i = 0; i < 50000; ++i) {
    ring.add(std::to_string(i) + "\n");
    most = std::max(most, ring.lines().size());
    ASSERT_TRUE(ring.lines().ends_with("\n" + std::to_string(i) + "\n") || i == 0) << i;
  }
  EXPECT_LE(most, EventRing::kMostBytes);
  EXPECT_GT(ring.lines().size(), EventRing::kMostBytes / 2);
  const std::string first(ring.lines().substr(0, ring.lines().find('\n')));
  EXPECT_EQ(ring.lines().size(), (50000 - std::stoul(first)) * 6) << "none was cut";
  EXPECT_EQ(ring.lines().data(), memory) << "it does not grow";
}

TEST(EventRing, OneLineMayFillIt) {
  EventRing ring;
  ring.add("short\n");
  const std::string longest = std::string(EventRing::kMostBytes - 1, 'x') + "\n";
  ring.add(longest);
  EXPECT_EQ(ring.lines(), longest);
  ring.add("x" + longest);
  EXPECT_EQ(ring.lines(), longest) << "one that is too long is not kept";
  ring.add("short\n");
  EXPECT_EQ(ring.lines(), "short\n");
}

}  // namespace
}  // namespace gpuvm::guest_tally_test
