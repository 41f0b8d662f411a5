// SPDX-License-Identifier: Apache-2.0
// The control loop as a GuestControl: requests, what refuses them, pauses, and who is told.
#include "tests/unit/vmm/machine/run/control_fixture.hpp"

namespace gpuvm::control_requests_test {
namespace {

using testing::ElementsAre;

class Requests : public test::ControlTest {
 protected:
  std::string text_of(std::future<Status> answer) {
    const auto status = answer.get();
    return status ? "" : status.error().to_string();
  }
};

TEST_F(Requests, AGuestPausesAndGoesOn) {
  run_guest();
  EXPECT_TRUE(done(&ControlLoop::pause));
  EXPECT_EQ(loop_->state(), LifecycleState::kPaused);
  EXPECT_TRUE(done(&ControlLoop::resume));
  EXPECT_EQ(loop_->state(), LifecycleState::kRunning);
  power_off();
}

TEST_F(Requests, WhatDoesNotFitTheStateIsRefused) {
  run_guest();
  EXPECT_EQ(text_of(ask(&ControlLoop::resume)), "The guest is running");
  ASSERT_TRUE(done(&ControlLoop::pause));
  EXPECT_EQ(text_of(ask(&ControlLoop::pause)), "The guest is paused");
  EXPECT_EQ(refused(&ControlLoop::reboot), ErrorKind::kWrongState);
  EXPECT_EQ(refused(&ControlLoop::press_power_button), ErrorKind::kWrongState);
  power_off();
  EXPECT_EQ(machine_->count("reboot"), 0);
}

TEST_F(Requests, TheyAreCarriedOutInTheirOrder) {
  make();
  machine_->hold("build");
  start();
  auto paused = ask(&ControlLoop::pause);
  auto resumed = ask(&ControlLoop::resume);
  auto rebooted = ask(&ControlLoop::reboot);
  machine_->release("build");
  EXPECT_TRUE(paused.get());
  EXPECT_TRUE(resumed.get());
  EXPECT_TRUE(rebooted.get());
  EXPECT_EQ(power_off().reboots, 1U);
  EXPECT_THAT(machine_->calls(), ElementsAre("build", "power_on", "pause", "resume", "stop_vcpus",
                                             "reboot", "break_off", "stop"));
}

TEST_F(Requests, TheGuestsEndRefusesThoseThatWait) {
  make();
  machine_->hold("pause");
  machine_->hold("stop");
  run_guest();
  auto paused = ask(&ControlLoop::pause);
  auto resumed = ask(&ControlLoop::resume);
  machine_->wait_for("pause");
  auto stopped = ask(&ControlLoop::stop);
  machine_->wait_for("break_off");
  machine_->release("pause");
  EXPECT_EQ(text_of(std::move(resumed)), "The guest is about to end");
  auto too_late = ask(&ControlLoop::reboot);
  machine_->release("stop");
  EXPECT_EQ(text_of(std::move(too_late)), "The guest has ended");
  EXPECT_TRUE(stopped.get());
  EXPECT_EQ(wait().end, RunEnd::kStopped);
}

TEST_F(Requests, TooManyAtOnceAreRefused) {
  make();
  machine_->hold("build");
  start();
  std::vector<std::future<Status>> answers;
  for (int i = 0; i < 65; ++i) {
    answers.push_back(ask(&ControlLoop::press_power_button));
  }
  EXPECT_FALSE(answers.back().get());
  machine_->release("build");
  answers.pop_back();
  for (auto& answer : answers) {
    EXPECT_TRUE(answer.get());
  }
  power_off();
}

TEST_F(Requests, RebootIsNotWhatTheConfigurationSaysOfTheGuestsResets) {
  make({.on_reboot = RebootAction::kExit});
  run_guest();
  EXPECT_TRUE(done(&ControlLoop::reboot));
  EXPECT_EQ(power_off().reboots, 1U);
}

TEST_F(Requests, ARebootThatTheGuestsEndOvertakesIsRefused) {
  make();
  machine_->hold("reboot");
  run_guest();
  auto rebooted = ask(&ControlLoop::reboot);
  machine_->wait_for("reboot");
  ask_for_end();
  machine_->release("reboot");
  EXPECT_EQ(text_of(std::move(rebooted)), "The guest is about to end");
  EXPECT_EQ(wait().exit_status, kStatus);
}

TEST_F(Requests, StopAnswersWithTheOutcomeOfTheDevices) {
  make();
  machine_->set_outcome("stop", fail(ErrorKind::kUnsafeDevice, "It did not come back"));
  run_guest();
  EXPECT_EQ(refused(&ControlLoop::stop), ErrorKind::kUnsafeDevice);
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kStopped);
  EXPECT_EQ(result.exit_status, 75);
}

// A vCPU may wait until all memory is pinned: the worker waits with it, the control thread does
// not.
TEST_F(Requests, AStopDuringAPauseThatWaitsForMemoryIsNotHeldUp) {
  make();
  machine_->hold("pause");
  machine_->let_break_off("pause");
  run_guest();
  auto paused = ask(&ControlLoop::pause);
  machine_->wait_for("pause");
  EXPECT_TRUE(done(&ControlLoop::stop));
  EXPECT_EQ(wait().end, RunEnd::kStopped);
  paused.wait();
}

TEST_F(Requests, AResetThatWasAskedForBeforeAPauseFollowsIt) {
  make();
  machine_->hold("pause");
  run_guest();
  auto paused = ask(&ControlLoop::pause);
  machine_->wait_for("pause");
  loop_->requests().reset();
  sync();
  machine_->release("pause");
  ASSERT_TRUE(paused.get());
  sync();
  EXPECT_EQ(loop_->state(), LifecycleState::kPaused);
  EXPECT_EQ(machine_->count("reboot"), 0);
  ASSERT_TRUE(done(&ControlLoop::resume));
  machine_->wait_for("reboot");
  EXPECT_EQ(power_off().reboots, 1U);
}

TEST_F(Requests, AGuestThatIsToPowerOffIsResumed) {
  run_guest();
  ASSERT_TRUE(done(&ControlLoop::pause));
  raise_signal(SIGTERM);
  machine_->wait_for("resume");
  EXPECT_EQ(machine_->count("power_button"), 2);
  EXPECT_EQ(power_off().exit_status, 0);
}

TEST_F(Requests, AGuestThatIsToPowerOffWhileItPausesIsResumed) {
  make();
  machine_->hold("pause");
  run_guest();
  auto paused = ask(&ControlLoop::pause);
  machine_->wait_for("pause");
  ask_for_end();
  machine_->release("pause");
  machine_->wait_for("resume");
  EXPECT_EQ(power_off().exit_status, 0);
}

TEST_F(Requests, AGuestThatFailsWhileItIsPausedEnds) {
  run_guest();
  ASSERT_TRUE(done(&ControlLoop::pause));
  loop_->fail(fail(ErrorKind::kUnsafeDevice, "A device of the guest has left"));
  EXPECT_EQ(wait().exit_status, 75);
}

TEST_F(Requests, AResumeThatFailsEndsTheRun) {
  make();
  machine_->set_outcome("resume", fail(ErrorKind::kHost, "No more threads"));
  run_guest();
  ASSERT_TRUE(done(&ControlLoop::pause));
  EXPECT_EQ(refused(&ControlLoop::resume), ErrorKind::kHost);
  EXPECT_EQ(wait().exit_status, 69);
}

TEST_F(Requests, SignalsPauseAndResume) {
  run_guest();
  raise_signal(SIGUSR1);
  machine_->wait_for("pause");
  raise_signal(SIGUSR2);
  machine_->wait_for("resume");
  raise_signal(SIGUSR2);  // is refused, in the log
  sync_requests();
  EXPECT_EQ(power_off().exit_status, 0);
  EXPECT_EQ(machine_->count("resume"), 1);
}

TEST_F(Requests, ObserversAreToldOnTheControlThreadInOrder) {
  make();
  std::vector<std::string> told;
  std::vector<std::thread::id> threads;
  const auto number = loop_->subscribe([&](const GuestEvent& event) {
    const auto& change = std::get<StateChange>(event.what);
    told.push_back(event.guest + " " + std::string(to_string(change.to)));
    threads.push_back(std::this_thread::get_id());
  });
  std::vector<std::string> gone;
  loop_->unsubscribe(loop_->subscribe([&](const GuestEvent&) { gone.emplace_back("told"); }));
  run_guest();
  const auto control = control_.get_id();
  ASSERT_TRUE(done(&ControlLoop::pause));
  ASSERT_TRUE(done(&ControlLoop::resume));
  power_off();
  loop_->unsubscribe(number);
  EXPECT_THAT(told, ElementsAre("main resetting", "main running", "main paused", "main running",
                                "main stopping", "main stopped"));
  EXPECT_THAT(threads, testing::Each(control));
  EXPECT_TRUE(gone.empty());
}

TEST_F(Requests, InspectAndStateFromOtherThreadsDuringAWholeRun) {
  make();
  std::atomic<bool> is_over{false};
  std::thread other([&] {
    while (!is_over) {
      InspectNode node;
      loop_->inspect(node);
      (void)loop_->state();
    }
  });
  run_guest();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(done(&ControlLoop::pause));
    EXPECT_TRUE(done(&ControlLoop::resume));
    EXPECT_TRUE(done(&ControlLoop::reboot));
  }
  power_off();
  is_over = true;
  other.join();
  InspectNode node;
  loop_->inspect(node);
  EXPECT_EQ(node.get("state"), "stopped");
}

}  // namespace
}  // namespace gpuvm::control_requests_test
