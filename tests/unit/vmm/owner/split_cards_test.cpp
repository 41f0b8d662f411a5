// SPDX-License-Identifier: Apache-2.0
// Real processes: cards that a monitor asks its owner for while the guest runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/vmm/owner/split_process_fixture.hpp"

namespace gpuvm::split_cards_test {
namespace {

using testing::ElementsAre;

class SplitCardsTest : public test::SplitProcessFixture {};

TEST_F(SplitCardsTest, CardsOfTheListComeWhileTheGuestRuns) {
  const auto status = run([](Owner& owner) {
    return owner.guest_runs() && owner.take_card(1) && owner.is_card_idle(1) ? 0 : 1;
  });
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 0);
  EXPECT_THAT(duties_.notes, ElementsAre("guest runs", "take card 1", "ask card 1"));
}

TEST_F(SplitCardsTest, AMonitorThatWantsAnotherCardIsKilled) {
  const auto status = run([](Owner& owner) {
    if (!owner.guest_runs() || owner.take_card(2)) {
      return 1;
    }
    ::pause();
    return 2;
  });
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, exit_status(ErrorKind::kInternal));
  EXPECT_NE(killed_, 0);
  EXPECT_THAT(duties_.notes, ElementsAre("guest runs"));
}

// What is under way for the monitor has children of its own, and hears how they end.
TEST_F(SplitCardsTest, ItsOwnWorkIsWaitedForBeforeOrphansAreEnded) {
  int heard = 0;
  settle_ = [this, &heard] {
    EXPECT_EQ(given_back_, 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::usleep(100000);
      ::_exit(7);
    }
    EXPECT_EQ(::waitpid(child, &heard, 0), child);
  };
  const auto status = run([](Owner&) { return 0; });
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFEXITED(heard));
  EXPECT_EQ(WEXITSTATUS(heard), 7);
  EXPECT_EQ(given_back_, 1);
}

}  // namespace
}  // namespace gpuvm::split_cards_test
