// SPDX-License-Identifier: Apache-2.0
// The fold: each kind of evidence alone, each pair of them in both orders, and what the verdict
// says of itself.
#include "vmm/verdict/verdict_fold.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace gpuvm::verdict_fold_test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using TimePoint = VerdictFold::TimePoint;

TimePoint at(int tenths) {
  return TimePoint(std::chrono::hours(1)) + milliseconds(100 * tenths);
}

ConsolePatterns pattern(const std::string& text) {
  const std::vector<std::string> list = {text};
  return ConsolePatterns::create(list).value();
}

VerdictFold new_fold() {
  return {pattern("^PASS"), pattern("^FAIL")};
}

GuestEvent exit_event(const std::string& channel, std::optional<std::uint32_t> status, int tenths) {
  return {.time = at(tenths),
          .guest = "g",
          .what = GuestWord{.channel = channel, .word = "exit", .status = status}};
}

GuestEvent word_event(const std::string& channel, const std::string& word, int tenths) {
  return {.time = at(tenths), .guest = "g", .what = GuestWord{.channel = channel, .word = word}};
}

constexpr std::size_t kKinds = static_cast<std::size_t>(Evidence::kCount);

/// Lets the fold, or the result of the run, have this kind of evidence.
void give(VerdictFold& fold, RunResult& run, Evidence evidence, int tenths) {
  switch (evidence) {
    case Evidence::kUnsafeDevice:
      run.error = Error(ErrorKind::kUnsafeDevice, "0000:01:00.0 did not come back");
      return;
    case Evidence::kFault:
      run.error = run.error.value_or(Error(ErrorKind::kHost, "no memory"));
      return;
    case Evidence::kPanicDevice:
      fold.event(word_event("pvpanic", "panic", tenths));
      return;
    case Evidence::kPanicConsole:
      fold.console_line({at(tenths), "[    1.5] Kernel panic - not syncing: x"});
      return;
    case Evidence::kGivenUp:
      run.end = RunEnd::kGivenUp;
      run.error = run.error.value_or(Error(ErrorKind::kHost, "vCPU 0: KVM gave the guest up"));
      return;
    case Evidence::kFailurePattern:
      fold.console_line({at(tenths), "FAIL: 3"});
      return;
    case Evidence::kSuccessPattern:
      fold.console_line({at(tenths), "PASS"});
      return;
    case Evidence::kLimit:
      fold.limit_over(JobLimit::kTimeout, std::chrono::seconds(10), at(tenths));
      return;
    case Evidence::kReboots:
      fold.too_many_reboots(4, 3, at(tenths));
      return;
    case Evidence::kOtherStatus:
      fold.event(exit_event("pigeon", 9, tenths));
      return;
    case Evidence::kStatusPort:
    case Evidence::kVsock:
    case Evidence::kNotify:
    case Evidence::kExitPort:
    case Evidence::kResultFile: {
      const auto& row = evidence_ranks()[static_cast<std::size_t>(evidence)];
      const auto status = 10 + static_cast<std::uint32_t>(evidence);
      fold.event(exit_event(std::string(row.channel), status, tenths));
      return;
    }
    case Evidence::kCount:
      return;
  }
}

int status_of(Evidence evidence) {
  switch (evidence) {
    case Evidence::kUnsafeDevice:
      return 120;
    case Evidence::kFault:
      return 122;
    case Evidence::kPanicDevice:
    case Evidence::kPanicConsole:
      return 121;
    case Evidence::kOtherStatus:
      return 9;
    case Evidence::kFailurePattern:
      return 1;
    case Evidence::kSuccessPattern:
      return 0;
    case Evidence::kLimit:
      return 124;
    case Evidence::kGivenUp:
    case Evidence::kReboots:
      return 125;
    case Evidence::kStatusPort:
    case Evidence::kVsock:
    case Evidence::kNotify:
    case Evidence::kExitPort:
    case Evidence::kResultFile:
    case Evidence::kCount:
      break;
  }
  return 10 + static_cast<int>(evidence);
}

TEST(Ranks, AreATableInTheOrderOfTrust) {
  ASSERT_EQ(evidence_ranks().size(), kKinds);
  for (std::size_t i = 0; i < kKinds; ++i) {
    EXPECT_EQ(static_cast<std::size_t>(evidence_ranks()[i].evidence), i);
    EXPECT_FALSE(evidence_ranks()[i].why.empty());
  }
}

TEST(Ranks, EachAlone) {
  for (std::size_t i = 0; i < kKinds; ++i) {
    auto fold = new_fold();
    RunResult run;
    const auto evidence = static_cast<Evidence>(i);
    give(fold, run, evidence, 1);
    const auto verdict = fold.verdict(run);
    EXPECT_EQ(verdict.exit_status, status_of(evidence)) << i;
    EXPECT_EQ(verdict.channel, evidence == Evidence::kOtherStatus
                                   ? "pigeon"
                                   : std::string(evidence_ranks()[i].channel));
    EXPECT_FALSE(verdict.reason.empty());
  }
}

/// A word on the test that comes after its limit of time is too late.
bool is_too_late(std::size_t first, std::size_t second) {
  return static_cast<Evidence>(first) == Evidence::kLimit &&
         second >= static_cast<std::size_t>(Evidence::kStatusPort) &&
         second <= static_cast<std::size_t>(Evidence::kSuccessPattern);
}

TEST(Ranks, OfEachPairTheHigherCountsWhicheverCameFirst) {
  for (std::size_t first = 0; first < kKinds; ++first) {
    for (std::size_t second = 0; second < kKinds; ++second) {
      // A run has one error; which one of two is told is not the fold's affair.
      const auto unsafe = static_cast<std::size_t>(Evidence::kUnsafeDevice);
      const auto fault = static_cast<std::size_t>(Evidence::kFault);
      const auto given_up = static_cast<std::size_t>(Evidence::kGivenUp);
      const bool is_one_error = (first == fault && second == unsafe) ||
                                (first == fault && second == given_up) ||
                                (first == given_up && second == fault);
      if (first == second || is_one_error) {
        continue;
      }
      auto fold = new_fold();
      RunResult run;
      give(fold, run, static_cast<Evidence>(first), 1);
      give(fold, run, static_cast<Evidence>(second), 2);
      const auto counts = is_too_late(first, second) ? first : std::min(first, second);
      EXPECT_EQ(fold.verdict(run).exit_status, status_of(static_cast<Evidence>(counts)))
          << first << " then " << second;
    }
  }
}

TEST(Fold, APatternOfFailureTurnsAPassIntoAFailure) {
  for (const char* channel : {"status_port", "exit_port", "result_file", "pigeon"}) {
    auto fold = new_fold();
    fold.event(exit_event(channel, 0, 1));
    fold.console_line({at(2), "FAIL: an Xid"});
    const auto verdict = fold.verdict({});
    EXPECT_EQ(verdict.outcome, Outcome::kFailed) << channel;
    EXPECT_EQ(verdict.exit_status, 1);
    EXPECT_EQ(verdict.channel, "console");
    EXPECT_NE(verdict.reason.find("exit status 0 by"), std::string::npos) << verdict.reason;
  }
  auto failed = new_fold();
  failed.event(exit_event("status_port", 3, 1));
  failed.console_line({at(2), "FAIL: an Xid"});
  EXPECT_EQ(failed.verdict({}).exit_status, 3);
  auto passed = new_fold();
  passed.event(exit_event("status_port", 0, 1));
  passed.console_line({at(2), "PASS"});
  EXPECT_EQ(passed.verdict({}).channel, "status_port");
}

TEST(Fold, AGuestThatSaysZeroAndPanicsHasPanicked) {
  auto fold = new_fold();
  EXPECT_EQ(fold.event(exit_event("status_port", 0, 0)), EndingCause::kStatus);
  EXPECT_EQ(fold.event(word_event("pvpanic", "panic", 12)), EndingCause::kPanic);
  const auto verdict = fold.verdict({.end = RunEnd::kPanicked});
  EXPECT_EQ(verdict.outcome, Outcome::kPanicked);
  EXPECT_EQ(verdict.channel, "pvpanic");
  EXPECT_EQ(verdict.reason, "panic by pvpanic; exit status 0 by status_port 1.2 s earlier");
}

TEST(Fold, ExplainsWhichOfTwoPanicsWasFirst) {
  auto fold = new_fold();
  fold.event(word_event("pvpanic", "panic", 10));
  fold.console_line({at(13), "Kernel panic - not syncing: Fatal exception"});
  EXPECT_EQ(fold.verdict({}).reason,
            "panic by pvpanic; panic by the console: \"Kernel panic - not syncing: Fatal "
            "exception\" 0.3 s later");
}

TEST(Fold, TheFirstStatusOfAChannelCounts) {
  auto fold = new_fold();
  EXPECT_EQ(fold.event(exit_event("vsock", 3, 0)), EndingCause::kStatus);
  EXPECT_EQ(fold.event(exit_event("vsock", 0, 1)), EndingCause::kNothing);
  const auto verdict = fold.verdict({});
  EXPECT_EQ(verdict.outcome, Outcome::kFailed);
  EXPECT_EQ(verdict.exit_status, 3);
  EXPECT_EQ(verdict.guest_status, 3U);
}

// 256 is no 0, as it would be for a shell; the true value is kept.
TEST(Fold, HighStatusesBecomeTheHighest) {
  for (const std::uint32_t status : {119U, 120U, 255U, 256U, 0xffff'ffffU}) {
    auto fold = new_fold();
    fold.event(exit_event("exit_port", status, 0));
    const auto verdict = fold.verdict({.end = RunEnd::kGuestExit});
    EXPECT_EQ(verdict.exit_status, 119) << status;
    EXPECT_EQ(verdict.guest_status, status);
    EXPECT_EQ(verdict.outcome, Outcome::kFailed);
  }
}

TEST(Fold, AnExitWithoutANumberIsNoSuccess) {
  auto fold = new_fold();
  fold.event(exit_event("notify", std::nullopt, 0));
  EXPECT_EQ(fold.verdict({}).exit_status, 119);
}

TEST(Fold, OtherWordsDecideNothing) {
  auto fold = new_fold();
  EXPECT_EQ(fold.event(word_event("notify", "ready", 0)), EndingCause::kNothing);
  EXPECT_EQ(fold.event({.time = at(0), .guest = "g", .what = StateChange{}}),
            EndingCause::kNothing);
  EXPECT_EQ(fold.verdict({}).exit_status, 125);
}

TEST(Fold, ACrashKernelIsAPanicThatGoesOn) {
  auto fold = new_fold();
  EXPECT_EQ(fold.event(word_event("pvpanic", "crash_kernel", 0)), EndingCause::kCrashKernel);
  const auto verdict = fold.verdict({.end = RunEnd::kGuestReset});
  EXPECT_EQ(verdict.outcome, Outcome::kPanicked);
  EXPECT_THAT(verdict.reason, HasSubstr("crash kernel"));
}

TEST(Fold, PatternsAreToldWithTheirLine) {
  auto fold = new_fold();
  EXPECT_EQ(fold.console_line({at(0), "PASS all"}), EndingCause::kPattern);
  EXPECT_EQ(fold.console_line({at(1), "PASS again"}), EndingCause::kNothing);
  EXPECT_EQ(fold.console_line({at(2), "nothing"}), EndingCause::kNothing);
  EXPECT_THAT(fold.verdict({}).reason, HasSubstr("\"PASS all\" has the pattern \"^PASS\""));
  EXPECT_EQ(fold.verdict({}).exit_status, 0);
  EXPECT_EQ(fold.console_line({at(3), "FAIL one"}), EndingCause::kPattern);
  EXPECT_EQ(fold.verdict({}).exit_status, 1);
}

TEST(Fold, LongLinesAreShortInTheReason) {
  auto fold = new_fold();
  fold.console_line({at(0), "FAIL " + std::string(4000, 'x')});
  EXPECT_LT(fold.verdict({}).reason.size(), 400U);
}

TEST(Fold, WhatComesAfterALimitIsTooLateAndTold) {
  auto fold = new_fold();
  fold.limit_over(JobLimit::kConsole, std::chrono::seconds(90), at(0));
  fold.event(exit_event("vsock", 0, 20));
  const auto verdict = fold.verdict({.end = RunEnd::kPoweredOff});
  EXPECT_EQ(verdict.outcome, Outcome::kTimedOut);
  EXPECT_EQ(verdict.channel, "console_timeout");
  EXPECT_EQ(verdict.reason,
            "the guest printed nothing for 1min 30s (test.console_timeout); exit status 0 by vsock "
            "2.0 s later, too late");
}

// systemd tells its notify socket exit status 0 of a shutdown that went well.
TEST(Fold, AShutdownThatSomebodyAskedForSaysNothingOfTheTest) {
  auto fold = new_fold();
  fold.event({.time = at(0), .guest = "g", .what = EndAsked{.signal = SIGTERM}});
  fold.event(exit_event("notify", 0, 5));
  const auto verdict = fold.verdict({.end = RunEnd::kPoweredOff, .signal = SIGTERM});
  EXPECT_EQ(verdict.exit_status, 125);
  EXPECT_EQ(verdict.channel, "signal");
}

TEST(Fold, AButtonThatAFailureCausedDoesNotMakeASuccessOfIt) {
  auto fold = new_fold();
  fold.console_line({at(0), "FAIL"});
  fold.end_asked(at(3));
  fold.event(exit_event("notify", 0, 5));
  EXPECT_EQ(fold.verdict({}).exit_status, 1);
  fold.event(word_event("pvpanic", "panic", 6));
  EXPECT_EQ(fold.verdict({}).exit_status, 121) << "a panic is never too late";
}

// A result file is read when the guest is gone, and its own time says whether its word was late.
TEST(Fold, WhatWasWrittenBeforeTheEndWasAskedForCounts) {
  const auto verdict_of = [](int written_at) {
    auto fold = new_fold();
    fold.console_line({at(0), "PASS"});
    fold.end_asked(at(30));
    fold.end_asked(at(90));
    auto event = exit_event("result_file", 4, 60);
    std::get<GuestWord>(event.what).written = at(written_at);
    fold.event(event);
    return fold.verdict({.end = RunEnd::kPoweredOff});
  };
  EXPECT_EQ(verdict_of(20).exit_status, 4);
  EXPECT_EQ(verdict_of(20).channel, "result_file");
  EXPECT_THAT(verdict_of(20).reason, HasSubstr("2.0 s earlier"));
  EXPECT_EQ(verdict_of(40).exit_status, 0);
  EXPECT_THAT(verdict_of(40).reason,
              HasSubstr("exit status 4 by result_file 4.0 s later, too late"));
  // A file's time is that of the last tick: it may be later than it says.
  EXPECT_EQ(verdict_of(30).exit_status, 0);
}

// A guest can bring KVM to that, and no retry would help.
TEST(Fold, AGuestThatKvmGivesUpIsNobodysVerdict) {
  const RunResult given_up = {.end = RunEnd::kGivenUp,
                              .exit_status = 69,
                              .error = Error(ErrorKind::kHost, "vCPU 0: KVM gave the guest up")};
  auto fold = new_fold();
  fold.event(exit_event("status_port", 0, 0));
  const auto verdict = fold.verdict(given_up);
  EXPECT_EQ(verdict.outcome, Outcome::kNoVerdict);
  EXPECT_EQ(verdict.exit_status, 125);
  EXPECT_EQ(verdict.channel, "kvm");
  EXPECT_THAT(verdict.reason, HasSubstr("KVM gave the guest up; exit status 0 by status_port too"));
  auto worse = given_up;
  worse.error = Error(ErrorKind::kInternal, "a bug");
  EXPECT_EQ(fold.verdict(worse).exit_status, 122);
}

TEST(Fold, NobodySaidAnything) {
  const auto silent = [](const RunResult& run) { return VerdictFold().verdict(run); };
  EXPECT_EQ(silent({.end = RunEnd::kPoweredOff}).channel, "power_off");
  EXPECT_EQ(silent({.end = RunEnd::kGuestReset, .exit_status = 32}).channel, "reset");
  EXPECT_EQ(silent({.end = RunEnd::kStopped}).channel, "gpuvm");
  for (const auto end : {RunEnd::kPoweredOff, RunEnd::kGuestReset, RunEnd::kStopped}) {
    EXPECT_EQ(silent({.end = end}).exit_status, 125);
  }
  const auto ended = silent({.end = RunEnd::kEndedForced, .exit_status = 143, .signal = SIGTERM});
  EXPECT_EQ(ended.exit_status, 125);
  EXPECT_EQ(ended.channel, "signal");
  EXPECT_THAT(ended.reason, StartsWith("SIGTERM"));
  EXPECT_EQ(silent({.end = RunEnd::kPoweredOff, .signal = SIGINT}).channel, "signal");
}

TEST(Fold, ARunsOwnEndCountsWithoutItsEvent) {
  EXPECT_EQ(VerdictFold().verdict({.end = RunEnd::kPanicked}).exit_status, 121);
  const auto left = VerdictFold().verdict({.end = RunEnd::kGuestExit, .exit_status = 7});
  EXPECT_EQ(left.exit_status, 7);
  EXPECT_EQ(left.channel, "exit_port");
}

TEST(Fold, AHostThatWantsItsDeviceBackIsAtFault) {
  EXPECT_EQ(VerdictFold().verdict({.end = RunEnd::kEndedForced, .exit_status = 69}).exit_status,
            122);
}

TEST(Fold, ALostLinkExplainsAFailure) {
  auto fold = new_fold();
  fold.event({.time = at(0), .guest = "g", .what = NetworkLost{.network = "net-0", .text = "x"}});
  fold.event(exit_event("vsock", 1, 30));
  EXPECT_THAT(fold.verdict({}).reason, HasSubstr("the link of net-0 was lost 3.0 s earlier"));
}

TEST(Fold, AnUnsafeDeviceOutweighsAPass) {
  auto fold = new_fold();
  fold.event(exit_event("status_port", 0, 0));
  const auto verdict =
      fold.verdict({.end = RunEnd::kPoweredOff,
                    .error = Error(ErrorKind::kUnsafeDevice, "0000:01:00.0 is bad")});
  EXPECT_EQ(verdict.exit_status, 120);
  EXPECT_THAT(verdict.reason, StartsWith("0000:01:00.0 is bad; exit status 0 by status_port too"));
}

TEST(Fold, OfJobsThatDoNotBegin) {
  EXPECT_EQ(fault_verdict(Error(ErrorKind::kConfig, "x")).exit_status, 122);
  EXPECT_EQ(fault_verdict(Error(ErrorKind::kUnsafeDevice, "x")).exit_status, 120);
  EXPECT_EQ(skipped_verdict("no KVM").exit_status, 77);
  EXPECT_EQ(skipped_verdict("no KVM").reason, "no KVM");
  EXPECT_THAT(outcome_name(skipped_verdict("").outcome), Not(HasSubstr("pass")));
}

}  // namespace
}  // namespace gpuvm::verdict_fold_test
