// SPDX-License-Identifier: Apache-2.0
// Jobs of guests that are scripts: what comes of them, how they are brought to their end, and what
// they leave.
#include "vmm/job/job.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "tests/unit/vmm/job/job_fixture.hpp"

namespace gpuvm::job_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeGuest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Job = test::JobTest;

RunResult powered_off() {
  return {.end = RunEnd::kPoweredOff};
}

TEST_F(Job, AStatusAndThenAPowerOff) {
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.print("hello\n");
    guest.exit("status_port", 3);
    return powered_off();
  });
  EXPECT_EQ(report.verdict.exit_status, 3);
  EXPECT_EQ(report.verdict.channel, "status_port");
  EXPECT_EQ(report.attempts, 1U);
  EXPECT_EQ(report.console_tail, "hello\n");
  ASSERT_EQ(report.phases.size(), 3U);
  EXPECT_EQ(report.phases[1].name, "guest");
}

TEST_F(Job, AGuestThatDoesNotEndAfterItsWordIsEnded) {
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.exit("vsock", 0);
    EXPECT_TRUE(guest.control().wait_for("stop"));
    return RunResult{.end = RunEnd::kStopped};
  });
  EXPECT_EQ(report.verdict.exit_status, 0);
  EXPECT_THAT(control_.asked(), ElementsAre("button", "stop"));
}

TEST_F(Job, AFalseStatusAndThenAPanic) {
  options_.ending.own_end = seconds(60);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.exit("status_port", 0);
    guest.print("[    3.1] Kernel panic - not syncing: sysrq triggered crash\r\n");
    EXPECT_TRUE(guest.control().wait_for("stop"));
    return RunResult{.end = RunEnd::kStopped};
  });
  EXPECT_EQ(report.verdict.exit_status, 121);
  EXPECT_EQ(report.verdict.channel, "console");
  EXPECT_THAT(report.verdict.reason, HasSubstr("exit status 0 by status_port"));
  EXPECT_THAT(control_.asked(), ElementsAre("stop")) << "nobody hears the button";
}

TEST_F(Job, APanicByItsDevice) {
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.word("pvpanic", "panic");
    return RunResult{.end = RunEnd::kPanicked, .exit_status = 34};
  });
  EXPECT_EQ(report.verdict.exit_status, 121);
  EXPECT_EQ(report.verdict.channel, "pvpanic");
}

TEST_F(Job, SilenceFromTheStart) {
  config_.test.first_console_timeout = seconds(1);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    EXPECT_TRUE(guest.control().wait_for("stop"));
    return RunResult{.end = RunEnd::kStopped};
  });
  EXPECT_EQ(report.verdict.exit_status, 124);
  EXPECT_EQ(report.verdict.channel, "first_console_timeout");
  EXPECT_THAT(control_.asked(), ElementsAre("button", "stop"));
}

TEST_F(Job, AGuestThatPrintsForEverHasItsLimitToo) {
  config_.test.timeout = seconds(1);
  config_.test.console_timeout = seconds(1);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    while (!guest.control().wait_for("stop", seconds(0))) {
      guest.print("still here\n");
    }
    return RunResult{.end = RunEnd::kStopped};
  });
  EXPECT_EQ(report.verdict.exit_status, 124);
  EXPECT_EQ(report.verdict.channel, "timeout");
}

TEST_F(Job, APowerOffAtTheButtonIsStillTheLimits) {
  config_.test.timeout = seconds(1);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    EXPECT_TRUE(guest.control().wait_for("button"));
    guest.exit("notify", 0);
    return powered_off();
  });
  EXPECT_EQ(report.verdict.exit_status, 124);
  EXPECT_THAT(report.verdict.reason, HasSubstr("too late"));
}

// The guest's systemd says 0 of its own shutdown, which came of our button.
TEST_F(Job, AFailureStaysOneWhateverTheShutdownSays) {
  config_.test.failure_pattern = {"^BUG:"};
  options_.ending.power_off = seconds(60);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.print("BUG: here\n");
    EXPECT_TRUE(guest.control().wait_for("button"));
    guest.exit("notify", 0);
    return powered_off();
  });
  EXPECT_EQ(report.verdict.exit_status, 1);
  EXPECT_THAT(report.verdict.reason, HasSubstr("too late"));
}

TEST_F(Job, AWordless) {
  EXPECT_EQ(run([](FakeGuest& guest) { return guest.start(), powered_off(); }).verdict.exit_status,
            125);
}

TEST_F(Job, PatternsOnEitherConsole) {
  config_.test.success_pattern = {"^ALL PASSED"};
  config_.test.failure_pattern = {"^BUG:"};
  const auto passed = run([](FakeGuest& guest) {
    guest.start();
    guest.print("ALL PA");
    guest.print("BUG of another console\n", ConsoleSource::kVirtio);
    guest.print("SSED\n");
    EXPECT_TRUE(guest.control().wait_for("button"));
    return powered_off();
  });
  EXPECT_EQ(passed.verdict.exit_status, 0);
  const auto failed = run([](FakeGuest& guest) {
    guest.start();
    guest.print("ALL PASSED\n");
    guest.print("BUG: after all", ConsoleSource::kVirtio);  // and no end of the line
    return powered_off();
  });
  EXPECT_EQ(failed.verdict.exit_status, 1);
}

TEST_F(Job, AResetEndsAJobUnlessSomeAreAllowed) {
  config_.machine.on_reboot = RebootAction::kReset;
  EXPECT_EQ(job_config(config_).machine.on_reboot, RebootAction::kExit);
  config_.test.reboots = 2;
  EXPECT_EQ(job_config(config_).machine.on_reboot, RebootAction::kReset);
}

TEST_F(Job, ASilentLoopOfReboots) {
  config_.test.reboots = 2;
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(guest.control().asked(), IsEmpty());
      guest.enter(LifecycleState::kRebooting);
      guest.enter(LifecycleState::kRunning);
    }
    EXPECT_TRUE(guest.control().wait_for("stop"));
    return RunResult{.end = RunEnd::kStopped, .reboots = 3};
  });
  EXPECT_EQ(report.verdict.exit_status, 125);
  EXPECT_EQ(report.verdict.channel, "reboots");
  EXPECT_THAT(report.verdict.reason, HasSubstr("3 times"));
}

TEST_F(Job, AResetAfterTheWordIsTheEnd) {
  config_.test.reboots = 100;
  options_.ending.own_end = seconds(60);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.exit("vsock", 4);
    guest.enter(LifecycleState::kRebooting);
    EXPECT_TRUE(guest.control().wait_for("stop"));
    return RunResult{.end = RunEnd::kStopped, .reboots = 1};
  });
  EXPECT_EQ(report.verdict.exit_status, 4);
}

TEST_F(Job, ASignalWithoutAWord) {
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    return RunResult{.end = RunEnd::kEndedForced, .exit_status = 143, .signal = SIGTERM};
  });
  EXPECT_EQ(report.verdict.exit_status, 125);
  EXPECT_EQ(report.verdict.channel, "signal");
}

TEST_F(Job, ADeviceThatDoesNotComeBackIsWorseThanAPass) {
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    guest.exit("exit_port", 0);
    return RunResult{.end = RunEnd::kGuestExit,
                     .exit_status = 75,
                     .error = Error(ErrorKind::kUnsafeDevice, "0000:01:00.0 did not come back")};
  });
  EXPECT_EQ(report.verdict.exit_status, 120);
}

// Pressing the button comes between: what the file says was written before it.
TEST_F(Job, AResultFileBehindAPattern) {
  config_.test.success_pattern = {"^done"};
  options_.ending.power_off = seconds(60);
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    const auto written = std::chrono::system_clock::now();
    guest.print("done\n");
    EXPECT_TRUE(guest.control().wait_for("button"));
    guest.event(
        GuestWord{.channel = "result_file", .word = "exit", .status = 5, .written = written});
    return powered_off();
  });
  EXPECT_EQ(report.verdict.exit_status, 5);
  EXPECT_EQ(report.verdict.channel, "result_file");
}

TEST_F(Job, IsSkippedWhereTheHostCannot) {
  bool has_run = false;
  const auto script = [&has_run](FakeGuest& guest) {
    has_run = true;
    guest.start();
    guest.exit("vsock", 0);
    return powered_off();
  };
  options_.check_host = [] { return Status(Error(ErrorKind::kHost, "no KVM")); };
  auto report = run(script);
  EXPECT_EQ(report.verdict.exit_status, 77);
  EXPECT_EQ(report.verdict.reason, "no KVM");
  EXPECT_FALSE(has_run);
  // A kernel that is not there is no property of the host.
  options_.check_host = [] { return Status(Error(ErrorKind::kConfig, "no kernel")); };
  report = run(script);
  EXPECT_TRUE(has_run);
  options_.check_host = [] { return Status(); };
  EXPECT_EQ(run(script).verdict.exit_status, 0);
}

TEST_F(Job, TellsAWaiterWhatItDoes) {
  std::vector<JobProgress> told;
  options_.on_tick = [&told](const JobProgress& progress) { told.push_back(progress); };
  run([](FakeGuest& guest) {
    guest.start();
    guest.print("x");
    guest.word("notify", "ready");
    std::this_thread::sleep_for(milliseconds(1300));
    return powered_off();
  });
  ASSERT_THAT(told, Not(IsEmpty()));
  EXPECT_EQ(told[0].state, LifecycleState::kRunning);
  EXPECT_TRUE(told[0].is_ready);
  EXPECT_GE(told[0].runs_for, milliseconds(500));
  EXPECT_TRUE(told[0].silent_for.has_value());
}

// Whatever a guest says by all its channels at once, the memory that it costs is bounded.
TEST_F(Job, AFloodByEveryChannel) {
  options_.ending.own_end = seconds(60);  // else the button makes some of it too late
  const auto report = run([](FakeGuest& guest) {
    guest.start();
    std::vector<std::thread> senders;
    for (const auto* channel : {"status_port", "vsock", "notify"}) {
      senders.emplace_back([&guest, channel] {
        for (std::uint32_t i = 0; i < 2000; ++i) {
          for (const auto& observer : guest.options().observers) {
            static Mutex one_at_a_time;  // as GuestEvents does it
            const MutexLock lock(one_at_a_time);
            observer({{}, "fake", GuestWord{.channel = channel, .word = "exit", .status = 5}});
          }
        }
      });
    }
    senders.emplace_back([&guest] {
      for (int i = 0; i < 20; ++i) {
        guest.print(std::string(100'000, 'x'));
      }
    });
    for (auto& sender : senders) {
      sender.join();
    }
    return powered_off();
  });
  EXPECT_EQ(report.verdict.exit_status, 5);
  EXPECT_EQ(report.verdict.channel, "status_port");
  EXPECT_LE(report.console_tail.size(), ConsoleLines::kLongest * 5);
}

TEST(FailedJob, IsAFault) {
  const auto report = failed_job("x.toml", Error(ErrorKind::kConfig, "wrong"));
  EXPECT_EQ(report.verdict.exit_status, 122);
  EXPECT_EQ(report.config_file, "x.toml");
}

}  // namespace
}  // namespace gpuvm::job_test
