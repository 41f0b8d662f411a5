// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle.hpp"

#include <gtest/gtest.h>

#include <array>

namespace gpuvm {
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

TEST(Lifecycle, EveryStateHasAName) {
  for (const State state : kAll) {
    EXPECT_NE(to_string(state), "unknown");
  }
}

}  // namespace
}  // namespace gpuvm
