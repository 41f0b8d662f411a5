// SPDX-License-Identifier: Apache-2.0
// How monitors end, and who outlives them: with real processes.
#include "vmm/owner/monitor_process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "vmm/owner/split_process.hpp"

namespace gpuvm::monitor_process_test {
namespace {

[[noreturn]] void pause_for_ever() {
  for (;;) {
    ::pause();
  }
}

/// A program that a guest has taken over undoes what binds it to its parent.
TEST(OrphansTest, OneThatDoesNotWantToEndIsKilled) {
  const pid_t owner = ::fork();
  if (owner == 0) {
    const Orphans orphans;
    const pid_t monitor = ::fork();
    if (monitor == 0) {
      if (::fork() == 0) {
        ::signal(SIGTERM, SIG_IGN);
        pause_for_ever();
      }
      ::_exit(0);
    }
    ::waitpid(monitor, nullptr, 0);
    const bool is_left = !orphans.await(std::chrono::milliseconds(20));
    const bool is_killed = orphans.kill();
    ::_exit(is_left && is_killed && ::waitpid(-1, nullptr, WNOHANG) < 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(owner, &status, 0), owner);
  EXPECT_EQ(status, 0);
}

/// Of a script that ran gpuvm by exec: its children, and what these leave.
TEST(OrphansTest, ThoseOfOthersAreLeftAlone) {
  const pid_t owner = ::fork();
  if (owner == 0) {
    const pid_t other = ::fork();
    if (other == 0) {
      pause_for_ever();
    }
    const Orphans orphans;
    const bool is_none = orphans.await(std::chrono::milliseconds(0));
    const pid_t made = ::fork();
    if (made == 0) {
      pause_for_ever();
    }
    const bool is_left = !orphans.await(std::chrono::milliseconds(20)) && !orphans.kill();
    const bool are_alive = ::waitpid(-1, nullptr, WNOHANG) == 0;
    ::kill(other, SIGKILL);
    ::kill(made, SIGKILL);
    ::_exit(is_none && is_left && are_alive ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(owner, &status, 0), owner);
  EXPECT_EQ(status, 0);
}

/// passt makes itself a daemon, so what a guest has made of it is nobody's child.
TEST(OrphansTest, AProcessWithoutAnOwnerLeavesNone) {
  const pid_t process = ::fork();
  if (process == 0) {
    {
      const auto split = SplitProcess::none();
      const pid_t helper = ::fork();
      if (helper == 0) {
        if (::fork() == 0) {
          pause_for_ever();
        }
        ::_exit(0);
      }
      ::waitpid(helper, nullptr, 0);
    }
    ::_exit(::waitpid(-1, nullptr, WNOHANG) < 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(process, &status, 0), process);
  EXPECT_EQ(status, 0);
}

TEST(MonitorEndTest, IsToldInWords) {
  EXPECT_EQ(monitor_end_of(0x2a00).exit_status, 42);
  EXPECT_EQ(monitor_end_of(0x2a00).how, "");
  EXPECT_EQ(monitor_end_of(SIGSEGV).exit_status, 139);
  EXPECT_EQ(monitor_end_of(SIGSEGV).how, "signal 11 (Segmentation fault)");
  EXPECT_EQ(monitor_end_of(SIGSYS | 0x80).how, "signal 31 (Bad system call)");
}

}  // namespace
}  // namespace gpuvm::monitor_process_test
