// SPDX-License-Identifier: Apache-2.0
// Who may have how many clients of a control socket.
#include "vmm/guests/client_seats.hpp"

#include <gtest/gtest.h>

namespace gpuvm::client_seats_test {
namespace {

using Answer = ClientSeats::Answer;

constexpr uid_t kMember = 1000;
constexpr uid_t kOther = 1001;
constexpr SeatLimits kLimits{.all = 10, .kept = 3, .of_user = 5};

TEST(ClientSeats, AMemberLeavesSomeForOthersAndForRoot) {
  ClientSeats seats(kLimits);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(seats.take(kMember, false), Answer::kTaken);
  }
  EXPECT_EQ(seats.take(kMember, false), Answer::kUserHasAll);
  EXPECT_EQ(seats.take(kOther, false), Answer::kTaken);
  EXPECT_EQ(seats.take(kOther, false), Answer::kTaken);
  EXPECT_EQ(seats.take(kOther, false), Answer::kAllTaken);
  EXPECT_EQ(seats.take(kOther + 1, false), Answer::kAllTaken);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(seats.take(0, true), Answer::kTaken);
  }
  EXPECT_EQ(seats.take(0, true), Answer::kAllTaken);
  EXPECT_EQ(seats.taken(), 10U);
}

TEST(ClientSeats, RootMayHaveAll) {
  ClientSeats seats(kLimits);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(seats.take(0, true), Answer::kTaken);
  }
  EXPECT_EQ(seats.take(0, true), Answer::kAllTaken);
  EXPECT_EQ(seats.take(kMember, false), Answer::kAllTaken);
}

TEST(ClientSeats, WhoLeavesMakesRoomForTheSameUser) {
  ClientSeats seats(kLimits);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(seats.take(kMember, false), Answer::kTaken);
  }
  seats.leave(kMember, false);
  seats.leave(kOther, false);  // never there
  EXPECT_EQ(seats.taken(), 4U);
  EXPECT_EQ(seats.take(kMember, false), Answer::kTaken);
  EXPECT_EQ(seats.take(kMember, false), Answer::kUserHasAll);
  for (int i = 0; i < 5; ++i) {
    seats.leave(kMember, false);
  }
  seats.leave(0, true);
  EXPECT_EQ(seats.taken(), 0U);
}

TEST(ClientSeats, MoreThanAllMayBeKept) {
  ClientSeats seats({.all = 2, .kept = 5, .of_user = 1});
  EXPECT_EQ(seats.take(kMember, false), Answer::kAllTaken);
  EXPECT_EQ(seats.take(0, true), Answer::kTaken);
}

}  // namespace
}  // namespace gpuvm::client_seats_test
