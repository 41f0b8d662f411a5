// SPDX-License-Identifier: Apache-2.0
// The control loop by itself: how a run begins and ends, and what signals and the guest's own
// wishes do at each of its steps.
#include "vmm/machine/run/control_loop.hpp"

#include <atomic>
#include <csignal>

#include "tests/unit/devices/physical/no_more_threads.hpp"
#include "tests/unit/vmm/machine/run/control_fixture.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm::control_loop_test {
namespace {

using testing::ElementsAre;

class Control : public test::ControlTest {};

TEST_F(Control, AGuestRunsFromItsBuildingToItsPowerOff) {
  run_guest();
  const auto result = power_off();
  EXPECT_EQ(result.end, RunEnd::kPoweredOff);
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_FALSE(result.error);
  EXPECT_THAT(machine_->calls(),
              ElementsAre("build", "power_on", "power_button", "break_off", "stop"));
  EXPECT_EQ(loop_->state(), LifecycleState::kStopped);
}

TEST_F(Control, TheHookOfABuiltMachineRunsBeforeItsGuest) {
  std::vector<std::string> before;
  make({.on_built = [&] { before = machine_->calls(); }});
  run_guest();
  power_off();
  EXPECT_THAT(before, ElementsAre("build"));
}

// On the control thread the worker's work would be done with the control thread's rights.
TEST_F(Control, WithoutAThreadForItsWorkerNoGuestStarts) {
  {
    const test::NoMoreThreads none;
    make();
  }
  start();
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.exit_status, exit_status(ErrorKind::kHost));
  ASSERT_TRUE(result.error);
  EXPECT_THAT(result.error->to_string(), testing::HasSubstr("TasksMax="));
  EXPECT_THAT(machine_->calls(), ElementsAre("break_off", "stop"));
}

TEST_F(Control, ASignalDuringTheBuildingBreaksItOff) {
  make();
  machine_->hold("build");
  start();
  machine_->wait_for("build");
  raise_signal(SIGTERM);
  machine_->wait_for("break_off");
  machine_->release("build");
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kStartBrokenOff);
  EXPECT_EQ(result.exit_status, 128 + SIGTERM);
  EXPECT_EQ(result.signal, SIGTERM);
  EXPECT_FALSE(result.error);
  EXPECT_THAT(machine_->calls(), ElementsAre("build", "break_off", "stop"));
}

// What went wrong meanwhile is more than that somebody left.
TEST_F(Control, ABuildingThatFailsWhileItIsBrokenOffHasFailed) {
  make();
  machine_->hold("build");
  machine_->set_outcome("build", fail(ErrorKind::kUnsafeDevice, "It did not come back"));
  start();
  machine_->wait_for("build");
  ask_for_end();
  machine_->release("build");
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.exit_status, 75);
  EXPECT_EQ(machine_->count("stop"), 1);
}

// Why the start failed is what the user needs; that of the stop is a line of the log.
TEST_F(Control, AFailedBuildingIsWhatTheRunEndsWith) {
  make();
  machine_->set_outcome("build", fail(ErrorKind::kConfig, "No such kernel"));
  machine_->set_outcome("stop", fail(ErrorKind::kUnsafeDevice, "Nor the devices"));
  start();
  const auto result = wait();
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->to_string(), "No such kernel");
  EXPECT_EQ(result.exit_status, 78);
}

TEST_F(Control, ASignalDuringPowerOnBreaksTheStartOff) {
  make();
  machine_->hold("power_on");
  start();
  machine_->wait_for("power_on");
  ask_for_end();
  machine_->release("power_on");
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kStartBrokenOff);
  EXPECT_EQ(result.exit_status, kStatus);
  EXPECT_EQ(machine_->count("power_button"), 0);
}

TEST_F(Control, APowerOnThatFailsEndsTheRun) {
  make();
  machine_->set_outcome("power_on", fail(ErrorKind::kConfig, "Too large"));
  start();
  EXPECT_EQ(wait().exit_status, 78);
  EXPECT_EQ(machine_->count("stop"), 1);
}

TEST_F(Control, TheFirstSignalPressesThePowerButton) {
  run_guest();
  raise_signal(SIGTERM);
  machine_->wait_for("power_button", 2);
  const auto result = power_off();
  EXPECT_EQ(result.end, RunEnd::kPoweredOff);
  EXPECT_EQ(result.exit_status, 0);
}

// systemd-machined sends it for machinectl poweroff (systemd(1), SIGRTMIN+4).
TEST_F(Control, MachinectlPoweroffPressesThePowerButton) {
  run_guest();
  raise_signal(SIGRTMIN + 4);
  machine_->wait_for("power_button", 2);
  EXPECT_EQ(power_off().exit_status, 0);
}

// What a watchdog wants to know.
TEST_F(Control, TheWorkerAnswersOnceItHasDoneItsWork) {
  run_guest();
  machine_->hold("pause");
  auto paused = ask(&ControlLoop::pause);
  machine_->wait_for("pause");
  std::atomic<int> answers{0};
  on_control([this, &answers] { loop_->ask_worker([&answers] { ++answers; }); });
  sync();
  EXPECT_EQ(answers, 0) << "it is at work";
  machine_->release("pause");
  EXPECT_TRUE(paused.get());
  EXPECT_TRUE(done(&ControlLoop::resume));  // the worker does one thing after the other
  EXPECT_EQ(answers, 1);
  power_off();
}

TEST_F(Control, TheSecondSignalEndsTheGuest) {
  make({.same_request = std::chrono::milliseconds(0)});
  std::vector<int> asked;
  events_.add([&asked](const GuestEvent& event) {
    if (const auto* wish = std::get_if<EndAsked>(&event.what)) {
      asked.push_back(wish->signal);
    }
  });
  run_guest();
  raise_signal(SIGTERM);
  machine_->wait_for("power_button", 2);
  raise_signal(SIGINT);
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kEndedForced);
  EXPECT_EQ(result.exit_status, 128 + SIGINT);
  EXPECT_EQ(result.signal, SIGINT);
  EXPECT_THAT(asked, ElementsAre(SIGTERM)) << "one wish, told once";
}

// timeout(1) sends one to its child and one to the process group.
TEST_F(Control, TwoSignalsAtOnceAreOneRequest) {
  make({.same_request = std::chrono::hours(1)});
  run_guest();
  raise_signal(SIGTERM);
  machine_->wait_for("power_button", 2);
  raise_signal(SIGTERM);
  raise_signal(SIGUSR1);  // is taken after it
  machine_->wait_for("pause");
  EXPECT_EQ(machine_->count("stop"), 0);
  ASSERT_TRUE(done(&ControlLoop::resume));
  EXPECT_EQ(power_off().end, RunEnd::kPoweredOff);
}

TEST_F(Control, AnotherSignalIsAnotherRequest) {
  make({.same_request = std::chrono::hours(1)});
  run_guest();
  raise_signal(SIGTERM);
  machine_->wait_for("power_button", 2);
  raise_signal(SIGINT);
  EXPECT_EQ(wait().exit_status, 128 + SIGINT);
}

TEST_F(Control, SignalsThatCameBeforeAreTaken) {
  hold_requests_by_signal();
  raise_signal(SIGUSR1);
  start();
  machine_->wait_for("pause");
  ASSERT_TRUE(done(&ControlLoop::resume));
  power_off();
}

// take_cards() leaves them to the loop.
TEST_F(Control, EndThatWasAskedForWhileACardWasTakenBreaksTheStartOff) {
  sigset_t held{};
  ::sigemptyset(&held);
  ::sigaddset(&held, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &held, nullptr), 0);
  raise_signal(SIGTERM);
  make();
  machine_->hold("build");
  start();
  machine_->wait_for("break_off");
  machine_->release("build");
  EXPECT_EQ(wait().exit_status, 128 + SIGTERM);
}

TEST_F(Control, AGuestThatKvmGivesUpIsNoBugOfOurs) {
  run_guest();
  loop_->vcpu_ended(VcpuEvent::kGivenUp, "vCPU 0: KVM could not execute an instruction");
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kGivenUp);
  EXPECT_EQ(result.exit_status, 69);
}

TEST_F(Control, AGuestThatDoesNotPowerOffInTimeIsEnded) {
  make({.power_off_grace = std::chrono::seconds(0)});
  run_guest();
  raise_signal(SIGTERM);
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kEndedForced);
  EXPECT_EQ(result.exit_status, 128 + SIGTERM);
}

// A shell passes SIGHUP on and the kernel sends one, too: two of them are one wish.
TEST_F(Control, ASecondHangupEndsNothing) {
  ::signal(SIGHUP, SIG_DFL);  // the tests may run under nohup(1)
  run_guest();
  raise_signal(SIGHUP);
  machine_->wait_for("power_button", 2);
  raise_signal(SIGHUP);
  sync_requests();
  EXPECT_EQ(machine_->count("stop"), 0);
  EXPECT_EQ(power_off().exit_status, 0);
}

TEST_F(Control, AHostsWishForADeviceIsNoSecondRequest) {
  run_guest();
  on_control([this] {
    loop_->ask_once_for_end(69);
    loop_->ask_once_for_end(69);
  });
  EXPECT_EQ(machine_->count("power_button"), 2);
  EXPECT_EQ(power_off().exit_status, 0);
}

TEST_F(Control, ASignalDuringARebootIsHeardAndEndsTheRunAfterIt) {
  make();
  machine_->hold("reboot");
  run_guest();
  loop_->requests().reset();
  machine_->wait_for("reboot");
  raise_signal(SIGTERM);
  machine_->wait_for("break_off");
  EXPECT_EQ(machine_->count("stop"), 0);
  machine_->release("reboot");
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kEndedForced);
  EXPECT_EQ(result.exit_status, 128 + SIGTERM);
  EXPECT_EQ(machine_->count("power_button"), 1);  // the fixture's
}

TEST_F(Control, ASignalDuringTheStopChangesNothing) {
  make();
  machine_->hold("stop");
  run_guest();
  loop_->requests().power_off();
  machine_->wait_for("stop");
  ask_for_end();
  ask_for_end();
  machine_->release("stop");
  EXPECT_EQ(wait().exit_status, 0);
  EXPECT_EQ(machine_->count("stop"), 1);
}

TEST_F(Control, AStopThatFailsIsTheOutcome) {
  make();
  machine_->set_outcome("stop", fail(ErrorKind::kUnsafeDevice, "It did not come back"));
  run_guest();
  const auto result = power_off();
  EXPECT_EQ(result.end, RunEnd::kPoweredOff);
  EXPECT_EQ(result.exit_status, 75);
  ASSERT_TRUE(result.error);
}

TEST_F(Control, AGuestThatResetsGetsANewLife) {
  run_guest();
  loop_->requests().reset();
  machine_->wait_for("reboot");
  sync_requests();
  loop_->vcpu_ended(VcpuEvent::kShutdown, "");  // a triple fault is one, too
  machine_->wait_for("reboot", 2);
  const auto result = power_off();
  EXPECT_EQ(result.end, RunEnd::kPoweredOff);
  EXPECT_EQ(result.reboots, 2U);
}

// A guest tries several ways to reset one after the other, until its vCPUs stop.
TEST_F(Control, WishesOfALifeThatEndsAreVoid) {
  make();
  machine_->hold("stop_vcpus");
  run_guest();
  loop_->requests().reset();
  machine_->wait_for("stop_vcpus");
  loop_->requests().reset();
  loop_->vcpu_ended(VcpuEvent::kShutdown, "");
  loop_->vcpu_ended(VcpuEvent::kFailed, "of no interest any more");
  sync();
  machine_->release("stop_vcpus");
  machine_->wait_for("reboot");
  sync_requests();
  const auto result = power_off();
  EXPECT_FALSE(result.error);
  EXPECT_EQ(result.reboots, 1U);
}

TEST_F(Control, AResetOfTheNewLifeBeforeTheRebootIsOverFollowsIt) {
  make();
  machine_->hold("reboot");
  run_guest();
  loop_->requests().reset();
  machine_->wait_for("reboot");
  loop_->requests().reset();
  sync();
  machine_->release("reboot");
  machine_->wait_for("reboot", 2);
  EXPECT_EQ(power_off().reboots, 2U);
}

TEST_F(Control, AResetDuringPowerOnFollowsIt) {
  make();
  machine_->hold("power_on");
  start();
  machine_->wait_for("power_on");
  loop_->requests().reset();
  sync();
  machine_->release("power_on");
  machine_->wait_for("reboot");
  EXPECT_EQ(power_off().reboots, 1U);
}

TEST_F(Control, AResetEndsTheRunWhereTheConfigurationSaysSo) {
  make({.on_reboot = RebootAction::kExit});
  run_guest();
  loop_->requests().reset();
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kGuestReset);
  EXPECT_EQ(result.exit_status, kExitGuestReset);
  EXPECT_EQ(machine_->count("reboot"), 0);
}

TEST_F(Control, AGuestThatWasAskedToEndIsNotStartedAgain) {
  run_guest();
  ask_for_end();
  loop_->requests().reset();
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kEndedForced);
  EXPECT_EQ(result.exit_status, kStatus);
  EXPECT_EQ(machine_->count("reboot"), 0);
}

TEST_F(Control, ARebootThatFailsEndsTheRun) {
  make();
  machine_->set_outcome("reboot", fail(ErrorKind::kUnsafeDevice, "It did not come back"));
  run_guest();
  loop_->requests().reset();
  const auto result = wait();
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->to_string(), "Guest reset: It did not come back");
  EXPECT_EQ(result.exit_status, 75);
}

TEST_F(Control, AVcpuThatFailsEndsTheRun) {
  run_guest();
  loop_->vcpu_ended(VcpuEvent::kFailed, "vCPU 0 cannot run");
  EXPECT_EQ(wait().exit_status, 70);
  EXPECT_EQ(machine_->count("stop"), 1);
}

TEST_F(Control, AVcpuWhoseMemoryIsGoneMeansADevice) {
  run_guest();
  loop_->vcpu_ended(VcpuEvent::kMemoryGone, "vCPU 0 touched memory");
  EXPECT_EQ(wait().exit_status, 75);
}

}  // namespace
}  // namespace gpuvm::control_loop_test
