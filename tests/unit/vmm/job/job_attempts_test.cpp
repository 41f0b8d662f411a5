// SPDX-License-Identifier: Apache-2.0
// Which jobs are tried again, and what a signal does before, between and behind their runs.
#include <gtest/gtest.h>
#include <pthread.h>

#include <csignal>
#include <thread>

#include "tests/unit/vmm/job/job_fixture.hpp"

namespace gpuvm::job_attempts_test {
namespace {

using std::chrono::milliseconds;
using test::broken;
using test::FakeGuest;

using JobAttempts = test::JobTest;

RunResult after_power_off() {
  return {.end = RunEnd::kPoweredOff};
}

TEST_F(JobAttempts, FaultsOfTheHostAreTriedAgain) {
  config_.test.retries = 3;
  int runs = 0;
  const auto report = run([&runs](FakeGuest& guest) {
    if (++runs < 3) {
      return broken(ErrorKind::kHost);
    }
    guest.start();
    guest.exit("vsock", 0);
    return after_power_off();
  });
  EXPECT_EQ(report.verdict.exit_status, 0);
  EXPECT_EQ(report.attempts, 3U);
}

TEST_F(JobAttempts, NotMoreOftenThanIsAllowed) {
  config_.test.retries = 1;
  int runs = 0;
  const auto report = run([&runs](FakeGuest&) { return ++runs, broken(ErrorKind::kHost); });
  EXPECT_EQ(report.verdict.exit_status, 122);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(report.attempts, 2U);
}

TEST_F(JobAttempts, WhatWouldBeTheSameAgainIsNotTriedAgain) {
  config_.test.retries = 10;
  for (const auto kind : {ErrorKind::kConfig, ErrorKind::kUsage, ErrorKind::kUnsafeDevice}) {
    int runs = 0;
    run([&](FakeGuest&) { return ++runs, broken(kind); });
    EXPECT_EQ(runs, 1) << exit_status(kind);
  }
  int runs = 0;
  run([&](FakeGuest& guest) {
    ++runs;
    guest.start();
    guest.exit("vsock", 1);
    return after_power_off();
  });
  EXPECT_EQ(runs, 1) << "a test that failed";
}

TEST_F(JobAttempts, NoAttemptFollowsAForbiddenCall) {
  config_.test.retries = 3;
  int runs = 0;
  const auto report = run([&runs](FakeGuest& guest) {
    ++runs;
    guest.event(SandboxNews{.state = "entered"});
    guest.start();
    guest.event(SandboxNews{.state = "violated", .text = "the call"});
    return broken(ErrorKind::kInternal);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(report.attempts, 1U);
}

TEST_F(JobAttempts, NoAttemptFollowsASignal) {
  config_.test.retries = 10;
  int runs = 0;
  run([&](FakeGuest&) {
    ++runs;
    auto result = broken(ErrorKind::kHost);
    result.signal = SIGTERM;
    return result;
  });
  EXPECT_EQ(runs, 1);
}

// One that comes between two runs waits, since the report must be written, and is obeyed.
TEST_F(JobAttempts, ASignalBetweenTwoAttemptsEndsThem) {
  config_.test.retries = 10;
  options_.retry_rest = milliseconds(500);
  int runs = 0;
  const auto main_thread = ::pthread_self();
  std::thread sender;
  const auto report = run([&](FakeGuest&) {
    ++runs;
    sender = std::thread([main_thread] {
      std::this_thread::sleep_for(milliseconds(100));
      ::pthread_kill(main_thread, SIGTERM);
    });
    return broken(ErrorKind::kHost);
  });
  sender.join();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(report.verdict.exit_status, 122);
  sigset_t set{};
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  const timespec no_time{};
  EXPECT_EQ(::sigtimedwait(&set, nullptr, &no_time), SIGTERM) << "else the test would end here";
}

// The run takes these signals; up to there, and between its end and the report, they wait.
TEST_F(JobAttempts, SignalsWaitBeforeTheRunAndBehindIt) {
  const auto is_held = [] {
    sigset_t now{};
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    return ::sigismember(&now, SIGTERM) == 1;
  };
  bool is_held_before = false;
  run([&](FakeGuest& guest) {
    is_held_before = is_held();
    EXPECT_TRUE(guest.options().holds_ending_signals);
    return after_power_off();
  });
  EXPECT_TRUE(is_held_before);
  EXPECT_TRUE(is_held());
}

TEST_F(JobAttempts, AGuestThatKvmGivesUpIsNotTriedAgain) {
  config_.test.retries = 3;
  int runs = 0;
  const auto report = run([&runs](FakeGuest& guest) {
    ++runs;
    guest.start();
    return RunResult{.end = RunEnd::kGivenUp,
                     .exit_status = 69,
                     .error = Error(ErrorKind::kHost, "vCPU 0: KVM gave the guest up")};
  });
  EXPECT_EQ(report.verdict.exit_status, 125);
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace gpuvm::job_attempts_test
