// SPDX-License-Identifier: Apache-2.0
// The control loop and cards that come and go: nobody waits for a guest that is asked for one, and
// every end of that wait takes the card out.
#include <algorithm>

#include "tests/unit/vmm/machine/run/control_fixture.hpp"

namespace gpuvm::control_cards_test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint8_t kPort = 3;  // FakeMachine's

class Cards : public test::ControlTest {
 protected:
  Cards() {
    events_.add([this](const GuestEvent& event) {
      if (const auto* moved = std::get_if<CardMoved>(&event.what)) {
        const MutexLock lock(steps_mutex_);
        steps_.push_back(moved->step);
      }
    });
  }
  using Move = void (ControlLoop::*)(std::string, GuestControl::Done);
  std::future<Status> move(Move how) {
    auto promise = std::make_shared<std::promise<Status>>();
    auto future = promise->get_future();
    (*loop_.*how)("card", [promise](Status status) { promise->set_value(std::move(status)); });
    return future;
  }
  /// The guest is asked, and the control thread knows.
  std::future<Status> detach() {
    auto gone = move(&ControlLoop::detach);
    machine_->wait_for("ask card");
    sync_requests();
    return gone;
  }
  static bool is_open(std::future<Status>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
  }
  std::ptrdiff_t place_of(const std::string& call) const {
    const auto calls = machine_->calls();
    return std::find(calls.begin(), calls.end(), call) - calls.begin();
  }
  std::vector<std::string> steps() {
    const MutexLock lock(steps_mutex_);
    return steps_;
  }

 private:
  Mutex steps_mutex_;
  std::vector<std::string> steps_ GPUVM_GUARDED_BY(steps_mutex_);
};

TEST_F(Cards, AnAttachIsDoneByTheWorkerAndAnswered) {
  run_guest();
  EXPECT_TRUE(move(&ControlLoop::attach).get());
  EXPECT_THAT(machine_->calls(), Contains("attach card"));
  machine_->set_outcome("attach card", fail(ErrorKind::kHost, "It is in use"));
  const auto refused = move(&ControlLoop::attach).get();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("in use"));
  power_off();
}

TEST_F(Cards, OtherRequestsGoOnWhileTheGuestIsAsked) {
  run_guest();
  auto gone = detach();
  EXPECT_TRUE(done(&ControlLoop::pause));
  EXPECT_TRUE(done(&ControlLoop::resume));
  EXPECT_TRUE(move(&ControlLoop::attach).get());
  EXPECT_TRUE(is_open(gone));
  EXPECT_EQ(machine_->count("take_out card"), 0);
  loop_->slot_switched(kPort, true);
  loop_->slot_switched(kPort + 1, false);
  sync_requests();
  EXPECT_TRUE(is_open(gone)) << "another slot";
  loop_->slot_switched(kPort, false);
  EXPECT_TRUE(gone.get());
  EXPECT_EQ(machine_->count("take_out card"), 1);
  power_off();
}

TEST_F(Cards, ASlotThatIsSwitchedOnAndOnCostsTwoWords) {
  run_guest();
  auto gone = detach();
  on_control([this] {  // which hears nothing meanwhile
    for (int i = 0; i < 1000; ++i) {
      loop_->slot_switched(kPort, false);
      loop_->slot_switched(kPort, true);
    }
  });
  EXPECT_TRUE(gone.get()) << "it was off";
  sync_requests();
  const auto told = steps();
  EXPECT_EQ(std::count(told.begin(), told.end(), "unpowered"), 1);
  EXPECT_EQ(std::count(told.begin(), told.end(), "powered"), 1);
  power_off();
}

TEST_F(Cards, AGuestThatDoesNotAnswerLosesIt) {
  make({.detach_grace = std::chrono::seconds(0)});
  run_guest();
  EXPECT_TRUE(move(&ControlLoop::detach).get());
  EXPECT_EQ(machine_->count("take_out card"), 1);
  EXPECT_THAT(steps(), Contains("unanswered"));
  power_off();
}

TEST_F(Cards, AnAnswerThatComesBeforeItIsWaitedForCounts) {
  make();
  machine_->hold("ask card");
  run_guest();
  auto gone = move(&ControlLoop::detach);
  machine_->wait_for("ask card");
  loop_->slot_switched(kPort, false);
  machine_->release("ask card");
  EXPECT_TRUE(gone.get());
  power_off();
}

TEST_F(Cards, ASlotWithoutPowerIsNotWaitedFor) {
  make();
  machine_->released = true;
  run_guest();
  EXPECT_TRUE(move(&ControlLoop::detach).get());
  EXPECT_THAT(steps(), Not(Contains("unanswered")));
  power_off();
}

TEST_F(Cards, AGuestThatRebootsMeanwhileStartsWithoutIt) {
  run_guest();
  auto gone = detach();
  loop_->requests().reset();
  EXPECT_TRUE(gone.get());
  machine_->wait_for("reboot");
  EXPECT_LT(place_of("take_out card"), place_of("reboot"));
  EXPECT_EQ(power_off().reboots, 1U);
}

TEST_F(Cards, SoDoesOneThatIsRebooted) {
  run_guest();
  auto gone = detach();
  EXPECT_TRUE(done(&ControlLoop::reboot));
  EXPECT_TRUE(gone.get());
  EXPECT_LT(place_of("take_out card"), place_of("reboot"));
  power_off();
}

TEST_F(Cards, TheGuestsEndOvertakesTheWait) {
  run_guest();
  auto gone = detach();
  power_off();
  const auto status = gone.get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kWrongState);
  EXPECT_EQ(machine_->count("take_out card"), 0) << "it goes back with all the others";
}

TEST_F(Cards, WhatComesOfTheCardIsTheAnswer) {
  make({.detach_grace = std::chrono::seconds(0)});
  machine_->set_outcome("take_out card", fail(ErrorKind::kUnsafeDevice, "It does not come back"));
  run_guest();
  const auto status = move(&ControlLoop::detach).get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_EQ(loop_->state(), LifecycleState::kRunning) << "the guest runs on";
  power_off();
}

TEST_F(Cards, APausedGuestIsNotAsked) {
  run_guest();
  ASSERT_TRUE(done(&ControlLoop::pause));
  for (const Move how : {&ControlLoop::attach, &ControlLoop::detach}) {
    const auto status = move(how).get();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kWrongState);
  }
  power_off();
}

TEST_F(Cards, AnAskThatFailsIsTheAnswer) {
  make();
  machine_->set_outcome("ask card", fail(ErrorKind::kWrongState, "It has been asked for"));
  run_guest();
  const auto status = move(&ControlLoop::detach).get();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("asked for"));
  EXPECT_EQ(machine_->count("take_out card"), 0);
  power_off();
}

TEST_F(Cards, ACardThatFailsGoesWithoutAsking) {
  run_guest();
  loop_->lose_card("card");
  machine_->wait_for("take_out card");
  sync_requests();
  EXPECT_EQ(machine_->count("ask card"), 0);
  EXPECT_EQ(loop_->state(), LifecycleState::kRunning);
  power_off();
  EXPECT_EQ(machine_->count("take_out card"), 1);
}

TEST_F(Cards, OneThatFailsWhileItIsAskedForIsNotWaitedFor) {
  run_guest();
  auto gone = detach();
  loop_->lose_card("card");
  EXPECT_TRUE(gone.get());
  power_off();
  EXPECT_EQ(machine_->count("take_out card"), 1) << "once";
}

// 01:00.0, or another function of it: what fails is called as events call it.
TEST_F(Cards, OneThatFailsIsThatWhichWasAskedForByAnotherName) {
  run_guest();
  auto promise = std::make_shared<std::promise<Status>>();
  auto gone = promise->get_future();
  loop_->detach("short card", [promise](Status status) { promise->set_value(std::move(status)); });
  machine_->wait_for("ask short card");
  sync_requests();
  loop_->lose_card("card");
  EXPECT_TRUE(gone.get());
  power_off();
  EXPECT_EQ(machine_->count("take_out card"), 1) << "once, and nobody waits for the guest";
}

TEST_F(Cards, WhoWatchesCardsIsToldOfEach) {
  std::vector<std::string> told;  // on the control thread, which power_off() waits for
  make({.detach_grace = std::chrono::seconds(0),
        .on_card_in = [&told] { told.emplace_back("in"); },
        .on_card_out = [&told](const std::string& device) { told.push_back("out " + device); }});
  run_guest();
  EXPECT_TRUE(move(&ControlLoop::attach).get());
  EXPECT_TRUE(move(&ControlLoop::detach).get());
  machine_->set_outcome("attach card", fail(ErrorKind::kHost, "It is in use"));
  EXPECT_FALSE(move(&ControlLoop::attach).get());
  power_off();
  EXPECT_EQ(told, (std::vector<std::string>{"in", "out card"}));
}

}  // namespace
}  // namespace gpuvm::control_cards_test
