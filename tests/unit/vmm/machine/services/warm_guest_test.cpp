// SPDX-License-Identifier: Apache-2.0
// A guest that waits for who wants it: what it is told, and when.
#include "vmm/machine/services/warm_guest.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <vector>

namespace gpuvm::warm_guest_test {
namespace {

class WarmGuestTest : public testing::Test {
 protected:
  void begin() {
    warm_ = WarmGuest::create([this](BeginAnew given) { begin_anew_ = std::move(given); }).value();
    warm_->begin({.post = [this](auto work) { posted_.push_back(std::move(work)); },
                  .renew_generation_id =
                      [this] {
                        ++renewed_;
                        return renewal_;
                      }});
  }
  void run_posted() {
    for (const auto& work : std::exchange(posted_, {})) {
      work();
    }
  }
  std::string heard() {
    std::array<std::byte, 100> bytes{};
    const auto count = warm_->input().read(bytes);
    return {reinterpret_cast<const char*>(bytes.data()), count};
  }

  std::unique_ptr<WarmGuest> warm_;
  BeginAnew begin_anew_;
  std::vector<std::function<void()>> posted_;
  Status renewal_ = {};
  int renewed_ = 0;
};

TEST(WarmGuests, AreWantedByNobodyWithoutACall) {
  EXPECT_EQ(WarmGuest::create({}).value(), nullptr);
}

TEST_F(WarmGuestTest, WhatItIsToldComesWithAnotherId) {
  begin();
  ASSERT_TRUE(begin_anew_);
  std::optional<Status> done;
  begin_anew_("go", [&done](Status status) { done = std::move(status); });
  EXPECT_EQ(renewed_, 0) << "the control thread does it";
  EXPECT_EQ(heard(), "");
  run_posted();
  ASSERT_TRUE(done);
  EXPECT_TRUE(*done);
  EXPECT_EQ(renewed_, 1);
  EXPECT_EQ(heard(), "go");
}

// It would go on with the random numbers that it had.
TEST_F(WarmGuestTest, WithoutAnotherIdItIsToldNothing) {
  renewal_ = fail(ErrorKind::kHost, "No numbers");
  begin();
  std::optional<Status> done;
  begin_anew_("go", [&done](Status status) { done = std::move(status); });
  run_posted();
  ASSERT_TRUE(done);
  EXPECT_FALSE(*done);
  EXPECT_EQ(heard(), "");
}

TEST_F(WarmGuestTest, TooManyWords) {
  begin();
  std::optional<Status> done;
  begin_anew_(std::string(PortInput::kMost + 1, 'x'),
              [&done](Status status) { done = std::move(status); });
  run_posted();
  ASSERT_TRUE(done);
  ASSERT_FALSE(*done);
  EXPECT_EQ(done->error().kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace gpuvm::warm_guest_test
