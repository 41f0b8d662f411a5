// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::log_test {
namespace {

// A window may end while a test runs, so up to two bursts may pass, and never more.
TEST(RateLimit, LetsABurstThrough) {
  log::RateLimit limit(5);
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) {
    allowed += limit.allow() ? 1 : 0;
  }
  EXPECT_GE(allowed, 5);
  EXPECT_LE(allowed, 10);
}

// A guest that makes five lines each second for months must not fill a disk.
TEST(RateLimit, IsStricterInTheLongRun) {
  log::RateLimit limit(5);
  const log::RateLimit::Clock::time_point begin{std::chrono::hours(1000)};
  const auto in_seconds = [&](int from, int to) {
    unsigned allowed = 0;
    for (int second = from; second < to; ++second) {
      for (int i = 0; i < 10; ++i) {
        allowed += limit.allow(begin + std::chrono::seconds(second)) ? 1 : 0;
      }
    }
    return allowed;
  };
  EXPECT_EQ(in_seconds(0, 1), 5U);
  EXPECT_EQ(in_seconds(1, 10), 45U);
  EXPECT_EQ(in_seconds(10, 3600), 250U);
  EXPECT_EQ(in_seconds(3600, 3601), 5U);
}

TEST(RateLimit, ZeroLetsNothingThrough) {
  log::RateLimit limit(0);
  EXPECT_FALSE(limit.allow());
}

TEST(RateLimit, HoldsForManyThreads) {
  log::RateLimit limit(5);
  std::atomic<int> allowed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) {
        allowed += limit.allow() ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_GE(allowed, 5);
  // At the edge of a window, threads that reset the count late may let a few more through.
  EXPECT_LE(allowed, 20);
}

TEST(Log, FileThatCannotBeOpened) {
  const auto status = log::set_file("/dev/null/log");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().to_string().find("Not a directory"), std::string::npos);
}

TEST(Log, HasNoCommandsForARunner) {
  testing::internal::CaptureStderr();
  log::warn("the guest says \"{}\"", "##[add-mask]a");
  EXPECT_NE(testing::internal::GetCapturedStderr().find("says \"## [add-mask]a\""),
            std::string::npos);
}

// What nobody has limited, and a guest can cause.
TEST(Log, LinesThatBeginAlikeHaveALimit) {
  testing::internal::CaptureStderr();
  for (unsigned i = 0; i < 50'000; ++i) {
    log::warn("a flood of lines: {}", i);
  }
  log::info("another line");
  const std::string text = testing::internal::GetCapturedStderr();
  const auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_GE(lines, 100);
  EXPECT_LE(lines, 5'000);
  EXPECT_NE(text.find("a flood of lines: 99\n"), std::string::npos);
  EXPECT_NE(text.find("some are left out"), std::string::npos);
  EXPECT_NE(text.find("another line"), std::string::npos);
}

// Errors come as whole texts: a flood of one hides no other.
TEST(Log, AFloodOfOneTextHidesNoOther) {
  testing::internal::CaptureStderr();
  for (int i = 0; i < 1'000; ++i) {
    log::warn("{}", fmt::format("port-0 has said this before: {}", i));
  }
  log::warn("{}", "disk-0 has said nothing yet");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("begin as \"port- has said this before"), std::string::npos);
  EXPECT_NE(text.find("disk-0 has said nothing yet"), std::string::npos);
}

// In a process of its own: the form of lines is the program's, for good.
TEST(Log, JsonLines) {
  const auto speak = [] {
    log::use_json();
    EXPECT_FALSE(log::is_plain());
    log::info("one \"{}\"", "\n\x1b");
    log::set_guest("main");
    log::error("two");
    std::_Exit(0);
  };
  EXPECT_EXIT(speak(), testing::ExitedWithCode(0),
              "[{]\"time\":\"20[0-9-]+T[0-9:]+[.][0-9]{3}Z\",\"level\":\"info\",\"message\":\"one "
              ".*\"[}]\n[{].*\"level\":\"error\",\"guest\":\"main\",\"message\":\"two\"[}]\n");
}

// A guest's words must not look like entries of their own: what the journal does not take goes to
// stderr, where a line "<0>…" is one.
TEST(Log, WhatTheJournalDoesNotTakeIsOneLine) {
  if (::access("/run/systemd/journal/socket", F_OK) == 0) {
    GTEST_SKIP() << "this host's journal would take it";
  }
  const auto speak = [] {
    struct stat file {};
    ::fstat(STDERR_FILENO, &file);
    ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", file.st_dev, file.st_ino).c_str(), 1);
    log::use_journal();
    log::warn("the guest says \"{}\"", "a\n<0>b\x1b[2J");
    std::_Exit(log::has_journal() ? 0 : 1);
  };
  EXPECT_EXIT(speak(), testing::ExitedWithCode(0), "<4>the guest says \"a\\\\n<0>b[?][[]2J\"\n$");
}

// A mistyped name must not spoil a file.
TEST(Log, NoFileOfAnotherKindIsALog) {
  std::string path = testing::TempDir() + "/gpuvm-log-XXXXXX";
  const UniqueFd file(::mkstemp(path.data()));
  ASSERT_EQ(::write(file.get(), "[boot]\n", 7), 7);
  const auto status = log::set_file(path);
  ::unlink(path.c_str());
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().to_string().find(path + " is there and holds something else"),
            std::string::npos);
}

// A shell that sends stderr elsewhere leaves JOURNAL_STREAM as it is.
TEST(Log, NoJournalIsNone) {
  ::setenv("JOURNAL_STREAM", "1:1", 1);
  log::use_journal();
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_FALSE(log::has_journal());
  EXPECT_TRUE(log::is_plain());
  log::journal_event(log::Level::kError, {.device = "a"}, "is not written");
}

}  // namespace
}  // namespace gpuvm::log_test
