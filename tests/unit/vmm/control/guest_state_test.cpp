// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/guest_state.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string_view>

namespace gpuvm::guest_state_test {
namespace {

using State = LifecycleState;

constexpr std::array kAll = {State::kCreated,   State::kResetting, State::kRunning, State::kPaused,
                             State::kRebooting, State::kStopping,  State::kStopped, State::kFailed};

TEST(Lifecycle, GuestRunsRebootsAndStops) {
  Lifecycle life;
  EXPECT_TRUE(life.enter(State::kResetting));
  EXPECT_TRUE(life.enter(State::kRunning));
  EXPECT_TRUE(life.enter(State::kRebooting));
  EXPECT_TRUE(life.enter(State::kRunning));
  EXPECT_TRUE(life.enter(State::kStopping));
  EXPECT_TRUE(life.enter(State::kStopped));
}

TEST(Lifecycle, RunningNeedsAResetBefore) {
  Lifecycle life;
  EXPECT_FALSE(life.enter(State::kRunning));
  EXPECT_EQ(life.state(), State::kCreated);
}

TEST(Lifecycle, NothingFollowsStopped) {
  for (const State next : kAll) {
    EXPECT_FALSE(Lifecycle::may_follow(State::kStopped, next)) << to_string(next);
  }
}

TEST(Lifecycle, EveryLiveStateMayFail) {
  for (const State from : kAll) {
    const bool over = from == State::kStopped || from == State::kFailed;
    EXPECT_EQ(Lifecycle::may_follow(from, State::kFailed), !over) << to_string(from);
  }
}

// A row for each state, a column for each state in the order of kAll: x where it may follow.
TEST(Lifecycle, TheWholeTable) {
  struct Row {
    State from;
    std::string_view to;
  };
  constexpr std::array<Row, kAll.size()> kTable = {{{State::kCreated, "-x---x-x"},
                                                    {State::kResetting, "--x--x-x"},
                                                    {State::kRunning, "---xxx-x"},
                                                    {State::kPaused, "--x--x-x"},
                                                    {State::kRebooting, "--x--x-x"},
                                                    {State::kStopping, "------xx"},
                                                    {State::kStopped, "--------"},
                                                    {State::kFailed, "--------"}}};
  for (const Row& row : kTable) {
    for (std::size_t i = 0; i < kAll.size(); ++i) {
      EXPECT_EQ(Lifecycle::may_follow(row.from, kAll.at(i)), row.to.at(i) == 'x')
          << to_string(row.from) << " to " << to_string(kAll.at(i));
    }
  }
}

TEST(Lifecycle, EveryStateHasAName) {
  for (const State state : kAll) {
    EXPECT_NE(to_string(state), "unknown");
  }
}

}  // namespace
}  // namespace gpuvm::guest_state_test
