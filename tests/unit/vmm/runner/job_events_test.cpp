// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/job_events.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gpuvm::job_events_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kStart =
    R"({"time":"2026-01-01T00:00:00.000Z","guest":"a","event":"reset","reason":"start",)"
    R"("functions":"0000:01:00.0, 0000:01:00.1","method":"hot reset","verdict":"verified",)"
    R"("duration_ms":131,"text":"flags [1] {2}"})"
    "\n";
const std::string kRunning =
    R"({"guest":"a","event":"state","from":"resetting","to":"running","memory_slots":6})"
    "\n";

std::string reset(const std::string& reason, const std::string& functions,
                  const std::string& verdict) {
  return R"({"event":"reset","reason":")" + reason + R"(","functions":")" + functions +
         R"(","verdict":")" + verdict + "\"}\n";
}

TEST(JobEventsTest, TheGuestRuns) {
  EXPECT_FALSE(parse_job_events("").has_run);
  EXPECT_FALSE(parse_job_events(kStart).has_run);
  EXPECT_TRUE(parse_job_events(kStart + kRunning).has_run);
}

TEST(JobEventsTest, SafeIsWhatWasResetAtTheEnd) {
  EXPECT_THAT(parse_job_events(kRunning).unsafe(), IsEmpty());
  EXPECT_THAT(parse_job_events(kStart + kRunning).unsafe(),
              ElementsAre("0000:01:00.0 (last reset: start: verified)",
                          "0000:01:00.1 (last reset: start: verified)"));
  EXPECT_THAT(
      parse_job_events(kStart + reset("stop", "0000:01:00.0, 0000:01:00.1", "verified")).unsafe(),
      IsEmpty());
  EXPECT_THAT(parse_job_events(kStart + reset("stop", "0000:01:00.0", "verified") +
                               reset("stop", "0000:01:00.1", "failed"))
                  .unsafe(),
              ElementsAre("0000:01:00.1 (last reset: stop: failed)"));
  // A second method has helped.
  EXPECT_THAT(parse_job_events(kStart + reset("stop", "0000:01:00.0, 0000:01:00.1", "failed") +
                               reset("repair", "0000:01:00.0, 0000:01:00.1", "verified"))
                  .unsafe(),
              IsEmpty());
}

// A guest can make events without end, by resets; what matters is at the begin and at the end.
TEST(JobEventsTest, OfTooLongAFileTheBeginAndTheEnd) {
  std::string path = ::testing::TempDir() + "events-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  std::string filler;
  for (int i = 0; i < 1000; ++i) {
    filler += R"({"event":"state","from":"running","to":"rebooting"})"
              "\n";
  }
  std::ofstream(path) << kStart << kRunning << filler
                      << reset("stop", "0000:01:00.0, 0000:01:00.1", "verified");
  const auto cut = read_job_events(path, 2000);
  EXPECT_TRUE(cut.is_cut);
  EXPECT_TRUE(cut.has_run);
  EXPECT_THAT(cut.unsafe(), IsEmpty());
  const auto whole = read_job_events(path);
  EXPECT_FALSE(whole.is_cut);
  EXPECT_THAT(whole.unsafe(), IsEmpty());
  std::filesystem::remove(path);
}

TEST(JobEventsTest, TheGuestsOwnStatus) {
  const auto status_of = [](const std::string& channel, const std::string& status) {
    return parse_job_events(R"({"event":"word","channel":")" + channel +
                            R"(","word":"exit","status":)" + status + "}\n" + kRunning)
        .guest_status;
  };
  EXPECT_EQ(status_of("exit_port", "75"), 75);
  EXPECT_EQ(status_of("exit_port", "4294967295"), 119);
  EXPECT_EQ(status_of("exit_port", "\"75\""), std::nullopt);
  EXPECT_EQ(status_of("exit_port", "-1"), std::nullopt);
  EXPECT_EQ(status_of("status_port", "75"), std::nullopt) << "does not end the run";
}

TEST(JobEventsTest, WhatIsNoEventIsLeftOut) {
  EXPECT_TRUE(parse_job_events("{\n\n[]\nnull\n{\"event\":1}\n" + std::string(100000, '[') + "\n" +
                               std::string(60000, '[') + "\n\xff\xfe\n" + kRunning)
                  .has_run);
  EXPECT_TRUE(parse_job_events(kRunning.substr(0, kRunning.size() - 1)).has_run);
  EXPECT_FALSE(parse_job_events(kRunning.substr(0, kRunning.size() - 3)).has_run);
}

TEST(JobEventsTest, NoFileHasNoEvents) {
  EXPECT_FALSE(read_job_events("/no/such/file").has_run);
  const std::string file = ::testing::TempDir() + "gpuvm-job-events";
  std::ofstream(file) << kRunning;
  EXPECT_TRUE(read_job_events(file).has_run);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace gpuvm::job_events_test
