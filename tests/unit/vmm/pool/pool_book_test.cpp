// SPDX-License-Identifier: Apache-2.0
// Which guests of a pool are started when, and who is given away.
#include "vmm/pool/pool_book.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace gpuvm::pool::pool_book_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using State = PoolBook::State;

class PoolBookTest : public testing::Test {
 protected:
  PoolBook::Number start() { return book_.started(now_); }
  PoolBook::Number start_ready() {
    const auto guest = start();
    book_.ready(guest);
    return guest;
  }
  void fail_once() {
    const auto guest = start();
    book_.ended(guest, now_);
  }
  milliseconds wait_for_next() const {
    const auto next = book_.next_look(now_);
    return next ? std::chrono::duration_cast<milliseconds>(*next - now_) : milliseconds(-1);
  }

  PoolBook::Time now_ = PoolBook::Time(seconds(1000));
  PoolBook book_{{.size = 6, .at_once = 4, .boot_limit = seconds(300)}};
};

TEST_F(PoolBookTest, FillsUpSomeAtATime) {
  EXPECT_EQ(book_.wanted(now_), 4U);
  for (int i = 0; i < 4; ++i) {
    start();
  }
  EXPECT_EQ(book_.wanted(now_), 0U) << "four boot";
  book_.ready(1);
  EXPECT_EQ(book_.wanted(now_), 1U);
  book_.ready(2);
  book_.ready(3);
  EXPECT_EQ(book_.wanted(now_), 2U) << "and not more than it is to have";
}

TEST_F(PoolBookTest, WhoHasWaitedLongestGoesFirst) {
  const auto first = start();
  const auto second = start_ready();
  EXPECT_EQ(book_.take(), second) << "the first still boots";
  book_.ready(first);
  EXPECT_EQ(book_.take(), first);
  EXPECT_EQ(book_.take(), std::nullopt);
}

TEST_F(PoolBookTest, NobodyIsGivenAwayTwice) {
  std::set<PoolBook::Number> given;
  for (int i = 0; i < 100; ++i) {
    start_ready();
    const auto guest = book_.take();
    ASSERT_TRUE(guest);
    EXPECT_TRUE(given.insert(*guest).second) << *guest;
    book_.ready(*guest);  // whatever it says
    EXPECT_EQ(book_.count(State::kReady), 0U);
    if (i % 2 == 0) {
      book_.ended(*guest, now_);
    }
  }
  EXPECT_EQ(book_.count(State::kTaken), 50U);
}

TEST_F(PoolBookTest, InThePlaceOfATakenOneAnotherIsStartedAtOnce) {
  for (int i = 0; i < 6; ++i) {
    start_ready();
  }
  EXPECT_EQ(book_.wanted(now_), 0U);
  const auto taken = book_.take();
  EXPECT_EQ(book_.wanted(now_), 1U);
  book_.ended(*taken, now_);
  EXPECT_EQ(book_.wanted(now_), 1U) << "its end is no failure";
  EXPECT_EQ(book_.failures(), 0U);
}

TEST_F(PoolBookTest, FailuresWaitTwiceAsLongEachTime) {
  for (const int wait : {1, 2, 4, 8, 16, 32, 60, 60, 60}) {
    fail_once();
    EXPECT_EQ(book_.wanted(now_), 0U);
    EXPECT_EQ(wait_for_next(), seconds(wait));
    now_ += seconds(wait) - milliseconds(1);
    EXPECT_EQ(book_.wanted(now_), 0U);
    now_ += milliseconds(1);
    EXPECT_EQ(book_.wanted(now_), 1U) << "one, to see whether it is better now";
  }
}

TEST_F(PoolBookTest, ManyFailuresDoNotOverflow) {
  for (int i = 0; i < 1000; ++i) {
    fail_once();
  }
  EXPECT_EQ(wait_for_next(), seconds(60));
}

TEST_F(PoolBookTest, AGuestThatIsTakenEndsTheDoubt) {
  fail_once();
  now_ += seconds(1);
  start_ready();
  EXPECT_EQ(book_.wanted(now_), 4U);
  book_.take();
  EXPECT_EQ(book_.failures(), 0U);
}

// One that is ready and dies at once, again and again, must not be booted in a loop.
TEST_F(PoolBookTest, WhoDiesAsHeWaitsIsAFailure) {
  for (const int wait : {1, 2, 4}) {
    const auto guest = start_ready();
    book_.ended(guest, now_);
    EXPECT_EQ(wait_for_next(), seconds(wait));
    now_ += seconds(wait);
  }
}

TEST_F(PoolBookTest, AfterALongLifeTheWaitIsTheFirstAgain) {
  fail_once();
  fail_once();
  now_ += seconds(10);
  const auto guest = start_ready();
  now_ += seconds(3600);
  book_.ended(guest, now_);
  EXPECT_EQ(wait_for_next(), seconds(1));
}

TEST_F(PoolBookTest, ABootThatTakesTooLong) {
  const auto slow = start();
  now_ += seconds(10);
  const auto other = start();
  EXPECT_EQ(wait_for_next(), seconds(290));
  now_ += seconds(290);
  EXPECT_THAT(book_.overdue(now_), ElementsAre(slow));
  EXPECT_THAT(book_.overdue(now_), IsEmpty()) << "once each";
  book_.ready(slow);  // too late
  EXPECT_EQ(book_.take(), std::nullopt);
  EXPECT_EQ(book_.state_of(slow), State::kEnding);
  EXPECT_EQ(book_.state_of(other), State::kBooting);
  book_.ended(slow, now_);
  EXPECT_EQ(book_.failures(), 1U);
}

TEST_F(PoolBookTest, WhoIsOutOfOrderIsNotGivenAway) {
  const auto guest = start_ready();
  book_.ending(guest);
  EXPECT_EQ(book_.take(), std::nullopt);
  EXPECT_EQ(book_.wanted(now_), 4U) << "others take its place meanwhile";
}

TEST_F(PoolBookTest, NumbersThatThereAreNot) {
  book_.ready(77);
  book_.ending(77);
  book_.ended(77, now_);
  EXPECT_EQ(book_.failures(), 0U);
  EXPECT_EQ(book_.take(), std::nullopt);
}

TEST_F(PoolBookTest, IsUnprovenUntilAGuestHasWaited) {
  fail_once();
  EXPECT_TRUE(book_.is_unproven());
  now_ += seconds(10);
  const auto guest = start_ready();
  EXPECT_FALSE(book_.is_unproven());
  book_.ended(guest, now_);
  EXPECT_FALSE(book_.is_unproven()) << "its configuration was right";
}

TEST_F(PoolBookTest, AFullPoolWaitsForNothing) {
  for (int i = 0; i < 6; ++i) {
    start_ready();
  }
  EXPECT_EQ(book_.next_look(now_), std::nullopt);
}

}  // namespace
}  // namespace gpuvm::pool::pool_book_test
