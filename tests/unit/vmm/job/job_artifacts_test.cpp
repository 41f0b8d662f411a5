// SPDX-License-Identifier: Apache-2.0
// What a job leaves in its folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/unit/vmm/job/job_fixture.hpp"

namespace gpuvm::job_artifacts_test {
namespace {

using test::broken;
using test::FakeGuest;
using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

class JobArtifacts : public test::JobTest {
 protected:
  JobArtifacts() {
    std::string path = testing::TempDir() + "job-XXXXXX";
    root_ = ::mkdtemp(path.data());
    auto folder = ArtifactFolder::open(root_ / "out");
    EXPECT_TRUE(folder);
    folder_ = std::make_unique<ArtifactFolder>(std::move(folder).value());
    options_.artifacts = folder_.get();
    options_.config_file = "ci.toml";
  }
  ~JobArtifacts() override { fs::remove_all(root_); }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(root_ / "out" / name).rdbuf();
    return text.str();
  }
  fs::path root_;
  std::unique_ptr<ArtifactFolder> folder_;
};

TEST_F(JobArtifacts, AreWhatTheManualSays) {
  const auto report = run([](FakeGuest& guest) {
    guest.event(
        DevicesReset{.reason = "start", .functions = "0000:01:00.0", .verdict = "verified"});
    guest.start();
    guest.print("one\r\ntwo\r\n");
    guest.exit("exit_port", 0);
    std::ofstream(guest.options().inspect_file) << "{}";
    return RunResult{.end = RunEnd::kGuestExit};
  });
  EXPECT_THAT(read("console.log"), AllOf(HasSubstr("Z one\n"), HasSubstr("Z two\n")));
  EXPECT_THAT(read("events.jsonl"), AllOf(HasSubstr(R"("event":"word")"), HasSubstr("running")));
  EXPECT_EQ(read("inspect.json"), "{}");
  EXPECT_THAT(read("resolved.toml"), HasSubstr("on_reboot = \"exit\""));
  EXPECT_EQ(nlohmann::json::parse(read("resets.json"))[0]["functions"], "0000:01:00.0");
  const auto result = nlohmann::json::parse(read("result.json"));
  EXPECT_EQ(result["outcome"], "passed");
  EXPECT_EQ(result["config"], "ci.toml");
  EXPECT_EQ(result["resets"].size(), 1U);
  for (const auto& artifact : report.artifacts) {
    EXPECT_TRUE(artifact.name == "gpuvm.log" || fs::exists(artifact.path)) << artifact.path;
  }
}

TEST_F(JobArtifacts, TheKernelsLogByItself) {
  run([](FakeGuest& guest) {
    guest.start();
    guest.print("[    0.5] Linux version 6.12\r\nhello\r\n[    1.5] Kernel panic\r\n");
    return RunResult{.end = RunEnd::kPoweredOff};
  });
  EXPECT_EQ(read("dmesg.log"), "[    0.5] Linux version 6.12\n[    1.5] Kernel panic\n");
}

TEST_F(JobArtifacts, FilesOfAShare) {
  fs::create_directory(root_ / "shared");
  config_.shares.resize(1);
  config_.shares[0].tag = "out";
  config_.shares[0].path = (root_ / "shared").string();
  config_.test.artifact_share = "out";
  const auto report = run([this](FakeGuest& guest) {
    guest.start();
    std::ofstream(root_ / "shared/screen.png") << "picture";
    return RunResult{.end = RunEnd::kPoweredOff};
  });
  EXPECT_EQ(read("share/screen.png"), "picture");
  ASSERT_FALSE(report.artifacts.empty());
  EXPECT_EQ(report.artifacts.back().name, "share");
  EXPECT_EQ(report.artifacts.back().path, (root_ / "out/share").string());
}

// It costs the files, not the verdict.
TEST_F(JobArtifacts, AShareThatIsGoneAtTheEnd) {
  config_.shares.resize(1);
  config_.shares[0].tag = "out";
  config_.shares[0].path = (root_ / "gone").string();
  config_.test.artifact_share = "out";
  fs::create_directory(config_.shares[0].path);
  const auto report = run([this](FakeGuest& guest) {
    guest.start();
    fs::remove(config_.shares[0].path);
    guest.exit("exit_port", 0);
    return RunResult{.end = RunEnd::kGuestExit};
  });
  EXPECT_EQ(report.verdict.exit_status, 0);
}

TEST_F(JobArtifacts, OfASkippedJobAreItsResultAlone) {
  options_.check_host = [] { return Status(Error(ErrorKind::kHost, "no KVM")); };
  run([](FakeGuest&) { return RunResult{}; });
  EXPECT_EQ(nlohmann::json::parse(read("result.json"))["exit_status"], 77);
  EXPECT_FALSE(fs::exists(root_ / "out/console.log"));
}

TEST_F(JobArtifacts, HaveWhatTheCallerKnowsOfTheJob) {
  options_.complete = [](JobReport& report) {
    report.phases.insert(report.phases.begin(), {"wait", std::chrono::milliseconds(1500)});
  };
  run([](FakeGuest&) { return RunResult{.end = RunEnd::kPoweredOff}; });
  const auto result = nlohmann::json::parse(read("result.json"));
  EXPECT_EQ(result["phases"][0]["name"], "wait");
  EXPECT_EQ(result["phases"][0]["duration_ms"], 1500);
}

TEST_F(JobArtifacts, HaveAllAttempts) {
  config_.test.retries = 1;
  int runs = 0;
  run([&runs](FakeGuest& guest) {
    guest.print("attempt " + std::to_string(++runs) + "\n");
    return broken(ErrorKind::kHost);
  });
  EXPECT_THAT(read("console.log"), AllOf(HasSubstr("attempt 1"), HasSubstr("attempt 2")));
}

TEST_F(JobArtifacts, AreTriedBeforeTheGuestIsStarted) {
  fs::create_directory(root_ / "out/console.log");
  bool has_run = false;
  const auto report = run([&has_run](FakeGuest&) { return has_run = true, RunResult{}; });
  EXPECT_FALSE(has_run);
  EXPECT_EQ(report.verdict.exit_status, 122);
  EXPECT_THAT(report.verdict.reason, HasSubstr("console.log"));
}

}  // namespace
}  // namespace gpuvm::job_artifacts_test
