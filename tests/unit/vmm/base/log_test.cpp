// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

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

}  // namespace
}  // namespace gpuvm::log_test
