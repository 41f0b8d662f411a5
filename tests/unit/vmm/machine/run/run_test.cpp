// SPDX-License-Identifier: Apache-2.0
// run_machine(), as far as it goes without KVM: files are looked at before anything else.
#include "vmm/machine/run/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace gpuvm::run_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Config without_kernel() {
  Config config;
  config.name = "main";
  config.boot.kernel = "/nowhere/kernel";
  config.console.serial.clear();
  config.control.socket = ControlConfig::Socket::kOff;
  return config;
}

TEST(Run, ARunThatFailsIsSeenByItsObserversAndItsResult) {
  std::vector<std::string> told;
  GuestControl* control = nullptr;
  RunOptions options;
  options.observers.push_back([&told](const GuestEvent& event) {
    told.push_back(event.guest + " " +
                   std::string(to_string(std::get<StateChange>(event.what).to)));
  });
  LifecycleState first = LifecycleState::kFailed;
  options.on_control = [&](GuestControl& given) {
    control = &given;
    first = given.state();
  };
  const auto result = run_machine(without_kernel(), options);
  EXPECT_NE(control, nullptr);
  EXPECT_EQ(first, LifecycleState::kCreated);
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.exit_status, 78);
  ASSERT_TRUE(result.error);
  EXPECT_THAT(result.error->to_string(), HasSubstr("/nowhere/kernel"));
  EXPECT_THAT(told, ElementsAre("main stopping", "main stopped"));
}

// Whoever steers must know until when.
TEST(Run, TheEndOfTheControlIsToldOnceAndAfterTheLastEvent) {
  std::vector<std::string> told;
  RunOptions options;
  options.observers.push_back([&told](const GuestEvent&) { told.emplace_back("event"); });
  options.on_control = [&told](GuestControl&) { told.emplace_back("control"); };
  options.on_control_over = [&told] { told.emplace_back("over"); };
  run_machine(without_kernel(), options);
  EXPECT_THAT(told, ElementsAre("control", "event", "event", "over"));
}

TEST(Run, WhereThereWasNoControlNoneEnds) {
  RunOptions options;
  options.event_file = "/dev/null/x";
  options.on_control = [](GuestControl&) {};
  options.on_control_over = [] { FAIL() << "there was nothing to steer"; };
  EXPECT_EQ(run_machine(without_kernel(), options).exit_status, 64);
}

// It is there before the machine is built, so that a long start can be watched, and ended.
TEST(Run, TheControlSocketIsThereUntilTheEndOfTheRun) {
  Config config = without_kernel();
  config.control.socket = ControlConfig::Socket::kPath;
  config.control.path = fmt::format("{}/gpuvm-run-test-{}.sock", testing::TempDir(), ::getpid());
  RunOptions options;
  bool was_there = false;
  options.on_control = [&](GuestControl&) {
    was_there = ::access(config.control.path.c_str(), F_OK) == 0;
  };
  run_machine(config, options);
  EXPECT_TRUE(was_there);
  EXPECT_NE(::access(config.control.path.c_str(), F_OK), 0);
}

TEST(Run, AControlSocketThatCannotBeIsAnError) {
  Config config = without_kernel();
  config.control.socket = ControlConfig::Socket::kPath;
  config.control.path = "/nowhere/at/all.sock";
  const auto result = run_machine(config, {});
  ASSERT_TRUE(result.error);
  EXPECT_THAT(result.error->to_string(), HasSubstr("/nowhere/at/all.sock"));
}

// One that comes between a run and what its caller does next neither ends the process nor is lost.
TEST(Run, SignalsThatEndWaitBehindARunWhereItsCallerWantsIt) {
  sigset_t ending{};
  ::sigemptyset(&ending);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    ::sigaddset(&ending, number);
  }
  RunOptions opens;
  RunOptions does_not_open;
  does_not_open.event_file = "/dev/null/x";
  for (RunOptions options : {opens, does_not_open}) {
    ::pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
    options.holds_ending_signals = true;
    run_machine(without_kernel(), options);
    ::raise(SIGTERM);
    const timespec no_time{};
    EXPECT_EQ(::sigtimedwait(&ending, nullptr, &no_time), SIGTERM)
        << "else the test would end here";
  }
  // And not where nobody asked for it.
  ::pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
  run_machine(without_kernel(), {});
  sigset_t now{};
  ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
  EXPECT_EQ(::sigismember(&now, SIGTERM), 0);
}

TEST(Run, AnEventFileThatCannotBeWrittenIsRefusedBeforeAnythingHappens) {
  RunOptions options;
  options.event_file = "/dev/null/x";
  options.on_control = [](GuestControl&) { FAIL() << "there is nothing to steer"; };
  const auto result = run_machine(without_kernel(), options);
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.exit_status, 64);
}

TEST(Run, AChannelThatCannotBeHadIsToldBeforeAnythingHappens) {
  Config config = without_kernel();
  config.shares.push_back({.path = "/nowhere/share", .tag = "out"});
  config.test.result_file = ResultFileConfig{.tag = "out", .path = "status"};
  const auto result = run_machine(config, {});
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.exit_status, 78);
  EXPECT_THAT(result.error->to_string(), HasSubstr("test.result_file: cannot open"));
}

// What is asked for before the machine is built is carried out when its guest runs, or refused.
TEST(Run, ARequestBeforeTheStartIsAnswered) {
  std::optional<Status> answer;
  RunOptions options;
  options.on_control = [&answer](GuestControl& control) {
    control.pause([&answer](Status status) { answer = std::move(status); });
  };
  run_machine(without_kernel(), options);
  ASSERT_TRUE(answer);
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().kind(), ErrorKind::kWrongState);
}

}  // namespace
}  // namespace gpuvm::run_test
