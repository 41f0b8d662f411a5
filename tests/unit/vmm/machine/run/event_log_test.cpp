// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/event_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace gpuvm::event_log_test {
namespace {

using testing::HasSubstr;

class EventLogTest : public testing::Test {
 protected:
  EventLogTest() : path_(testing::TempDir() + "gpuvm-events-" + std::to_string(::getpid())) {
    ::unlink(path_.c_str());
  }
  ~EventLogTest() override { ::unlink(path_.c_str()); }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) {
      all.push_back(line);
    }
    return all;
  }
  const std::string path_;
};

TEST_F(EventLogTest, EachEventIsALineOfJson) {
  const auto log = EventLog::open(path_).value();
  log->write({.time = {},
              .guest = "main",
              .what = StateChange{.from = LifecycleState::kRunning,
                                  .to = LifecycleState::kStopping,
                                  .holdings = {.memory_slots = 6, .heap_bytes = 271840}}});
  log->write({.time = {}, .guest = "main", .what = DevicesReset{.reason = "stop"}});
  const auto all = lines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[0], HasSubstr("\"event\":\"state\",\"from\":\"running\",\"to\":\"stopping\""));
  EXPECT_THAT(all[1], HasSubstr("\"event\":\"reset\",\"reason\":\"stop\""));
}

TEST_F(EventLogTest, AppendsToWhatAnEarlierRunWrote) {
  EventLog::open(path_).value()->write({});
  EventLog::open(path_).value()->write({});
  EXPECT_EQ(lines().size(), 2u);
}

// The host's disk is not the guest's, which may cause events without end.
TEST_F(EventLogTest, AFileHasALimit) {
  const auto log = EventLog::open(path_).value();
  log->set_most(10'000);
  for (unsigned i = 0; i < 5'000; ++i) {
    log->write({.time = {}, .guest = "main", .what = DevicesReset{.reason = "guest"}});
  }
  EXPECT_GT(lines().size(), 10u);
  EXPECT_LE(std::filesystem::file_size(path_), 10'000u);
}

TEST_F(EventLogTest, FileThatHoldsSomethingElseIsRefused) {
  std::ofstream(path_) << "root:x:0:0\n";
  EXPECT_FALSE(EventLog::open(path_));
  EXPECT_EQ(lines(), std::vector<std::string>{"root:x:0:0"});
}

TEST_F(EventLogTest, PlaceThatCannotBeWrittenIsRefused) {
  const auto log = EventLog::open("/dev/null/x");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind(), ErrorKind::kUsage);
}

TEST_F(EventLogTest, PipeThatNobodyReadsDoesNotStopTheMachine) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(EventLog::open(path_));
}

// /dev/full takes nothing. The log's lines go to standard error.
TEST_F(EventLogTest, LostEventsAreCountedAndTheFileIsNamed) {
  testing::internal::CaptureStderr();
  {
    const auto log = EventLog::open("/dev/full").value();
    for (int i = 0; i < 3; ++i) {
      log->write({});
    }
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("An event was lost: writing to /dev/full failed"));
  EXPECT_THAT(said, HasSubstr("3 events were lost in all: writing to /dev/full failed"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2) << said;
}

}  // namespace
}  // namespace gpuvm::event_log_test
