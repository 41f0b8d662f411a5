// SPDX-License-Identifier: Apache-2.0
// What a slot does with a card, step by step, and what it takes back where a step fails.
#include "vmm/machine/hot_plug/hot_slot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace gpuvm::hot_slot_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// What cards did, and which of it fails.
struct CardLog {
  std::vector<std::string> calls;
  std::set<std::string> failing;
  bool is_released = false;

  Status call(const std::string& name, ErrorKind kind = ErrorKind::kHost) {
    calls.push_back(name);
    return failing.contains(name) ? Status(fail(kind, "{} fails", name)) : Status();
  }
};

class FakeCard : public HotCard {
 public:
  explicit FakeCard(CardLog& log) : log_(log) {}
  ~FakeCard() override { log_.calls.emplace_back("destroyed"); }
  FakeCard(const FakeCard&) = delete;
  FakeCard& operator=(const FakeCard&) = delete;

  std::string name() const override { return "0000:01:00.0"; }
  bool has(std::string_view function) const override {
    return function == "0000:01:00.0" || function == "0000:01:00.1";
  }
  Status take() override { return log_.call("take"); }
  Status verify() override { return log_.call("verify", ErrorKind::kUnsafeDevice); }
  Status join(const IsUnwanted&) override { return log_.call("join"); }
  Status show() override { return log_.call("show"); }
  Status announce() override { return log_.call("announce"); }
  std::vector<PhysicalDevice*> devices() const override { return {}; }
  Status reset(ResetReason reason) override {
    return log_.call(fmt::format("reset {}", to_string(reason)), ErrorKind::kUnsafeDevice);
  }
  Result<bool> ask() override {
    TRY(log_.call("ask"));
    return log_.is_released;
  }
  Status withdraw() override { return log_.call("withdraw"); }
  void hide() override { log_.calls.emplace_back("hide"); }
  Status release() override { return log_.call("release"); }
  Status leave() override {
    log_.calls.emplace_back("leave");
    return {};
  }
  void inspect(InspectNode& node) const override { node.field("fake", true); }

 private:
  CardLog& log_;
};

class HotSlotTest : public testing::Test {
 protected:
  Status attach() {
    return slot_.attach(std::make_unique<FakeCard>(log_), [this] { return is_unwanted_; });
  }
  /// Attached, and what led there forgotten.
  void be_in() {
    ASSERT_TRUE(attach());
    log_.calls.clear();
    steps_.clear();
  }
  static ErrorKind kind_of(const Status& status) {
    EXPECT_FALSE(status);
    return status ? ErrorKind::kInternal : status.error().kind();
  }

  CardLog log_;
  std::vector<std::string> steps_;
  bool is_unwanted_ = false;
  HotSlot slot_{{.port = 3,
                 .exclusively = [](const auto& change) { change(); },
                 .on_step =
                     [this](const HotPlugStep& step) {
                       EXPECT_EQ(step.port, 3);
                       EXPECT_EQ(step.card, "0000:01:00.0");
                       steps_.emplace_back(step.step);
                     }}};
};

TEST_F(HotSlotTest, ACardComesAndGoes) {
  EXPECT_FALSE(slot_.has("0000:01:00.0"));
  ASSERT_TRUE(attach());
  EXPECT_EQ(slot_.state(), SlotState::kIn);
  EXPECT_TRUE(slot_.has("0000:01:00.1"));
  EXPECT_THAT(log_.calls, ElementsAre("take", "verify", "join", "show", "announce"));
  EXPECT_THAT(steps_, ElementsAre("claimed", "verified", "mapped", "shown", "announced"));
  log_.calls.clear();
  steps_.clear();
  const auto asked = slot_.ask();
  ASSERT_TRUE(asked);
  EXPECT_FALSE(*asked);
  EXPECT_EQ(slot_.state(), SlotState::kAsked);
  ASSERT_TRUE(slot_.take_out());
  EXPECT_EQ(slot_.state(), SlotState::kEmpty);
  EXPECT_THAT(log_.calls,
              ElementsAre("ask", "withdraw", "hide", "reset stop", "leave", "destroyed"));
  EXPECT_THAT(steps_, ElementsAre("asked", "withdrawn", "gone"));
  EXPECT_TRUE(attach()) << "the slot can be used again";
}

TEST_F(HotSlotTest, WhatAFailedStepLeavesIsTakenBack) {
  log_.failing = {"take"};
  EXPECT_FALSE(attach());
  EXPECT_THAT(log_.calls, ElementsAre("take", "destroyed"));
  log_ = {.calls = {}, .failing = {"verify"}};
  EXPECT_EQ(kind_of(attach()), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(log_.calls, ElementsAre("take", "verify", "leave", "destroyed"))
      << "not released: it keeps its mark";
  log_ = {.calls = {}, .failing = {"join"}};
  EXPECT_FALSE(attach());
  EXPECT_THAT(log_.calls, ElementsAre("take", "verify", "join", "release", "leave", "destroyed"));
  log_ = {.calls = {}, .failing = {"show"}};
  EXPECT_FALSE(attach());
  EXPECT_THAT(log_.calls, ElementsAre("take", "verify", "join", "show", "withdraw", "hide",
                                      "release", "leave", "destroyed"));
  log_ = {.calls = {}, .failing = {"announce"}};
  EXPECT_FALSE(attach());
  EXPECT_THAT(log_.calls, ElementsAre("take", "verify", "join", "show", "announce", "withdraw",
                                      "hide", "release", "leave", "destroyed"));
  EXPECT_EQ(slot_.state(), SlotState::kEmpty);
}

TEST_F(HotSlotTest, AnAttachIsBrokenOffBetweenSteps) {
  is_unwanted_ = true;
  EXPECT_EQ(kind_of(attach()), ErrorKind::kCancelled);
  EXPECT_THAT(log_.calls, ElementsAre("take", "verify", "release", "leave", "destroyed"));
}

TEST_F(HotSlotTest, ACardIsTakenFromAGuestThatWasNotAsked) {
  be_in();
  EXPECT_TRUE(slot_.take_out());
  EXPECT_THAT(log_.calls, ElementsAre("withdraw", "hide", "reset stop", "leave", "destroyed"));
}

TEST_F(HotSlotTest, ACardThatDoesNotComeBackIsOutAllTheSame) {
  be_in();
  log_.failing = {"reset stop"};
  EXPECT_EQ(kind_of(slot_.take_out()), ErrorKind::kUnsafeDevice);
  EXPECT_EQ(slot_.state(), SlotState::kEmpty);
  EXPECT_THAT(log_.calls, ElementsAre("withdraw", "hide", "reset stop", "leave", "destroyed"));
}

TEST_F(HotSlotTest, WhatDoesNotFitIsRefusedAndChangesNothing) {
  EXPECT_EQ(kind_of(slot_.take_out()), ErrorKind::kWrongState);
  EXPECT_FALSE(slot_.ask());
  be_in();
  EXPECT_EQ(kind_of(attach()), ErrorKind::kWrongState);
  EXPECT_THAT(log_.calls, ElementsAre("destroyed")) << "the second card, untouched";
  ASSERT_TRUE(slot_.ask());
  const auto again = slot_.ask();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kWrongState);
  EXPECT_EQ(slot_.state(), SlotState::kAsked);
}

TEST_F(HotSlotTest, AGuestThatCannotBeAskedKeepsItsCard) {
  be_in();
  log_.failing = {"ask"};
  EXPECT_FALSE(slot_.ask());
  EXPECT_EQ(slot_.state(), SlotState::kIn);
}

TEST_F(HotSlotTest, OnlyACardThatIsThereIsReset) {
  EXPECT_TRUE(slot_.reset(ResetReason::kReboot));
  EXPECT_THAT(log_.calls, IsEmpty());
  be_in();
  EXPECT_TRUE(slot_.reset(ResetReason::kReboot));
  EXPECT_THAT(log_.calls, ElementsAre("reset reboot"));
}

TEST_F(HotSlotTest, InspectShowsCardAndState) {
  InspectNode empty;
  slot_.inspect(empty);
  EXPECT_EQ(empty.get("state"), "empty");
  EXPECT_EQ(empty.get("card"), "");
  be_in();
  InspectNode node;
  slot_.inspect(node);
  EXPECT_EQ(node.get("state"), "in");
  EXPECT_EQ(node.get("card"), "0000:01:00.0");
  EXPECT_EQ(node.get("fake"), "true");
}

TEST(SlotState, FollowsTheTable) {
  constexpr std::array kAll = {SlotState::kEmpty, SlotState::kComing, SlotState::kIn,
                               SlotState::kAsked, SlotState::kGoing};
  int allowed = 0;
  for (const auto from : kAll) {
    EXPECT_FALSE(may_follow(from, from));
    for (const auto to : kAll) {
      allowed += may_follow(from, to) ? 1 : 0;
    }
  }
  EXPECT_EQ(allowed, 7);
  EXPECT_FALSE(may_follow(SlotState::kAsked, SlotState::kIn)) << "the guest may be at it";
}

}  // namespace
}  // namespace gpuvm::hot_slot_test
