// SPDX-License-Identifier: Apache-2.0
// The stages with a stub in gpuvm's place. tests/cli/gitlab_test.sh plays the whole runner.
#include "vmm/runner/gitlab_executor.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/fixtures/source_file.hpp"

namespace gpuvm::gitlab_executor_test {
namespace {

using ::testing::HasSubstr;

std::string text_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

class GitlabExecutorTest : public ::testing::Test {
 protected:
  GitlabExecutorTest() {
    std::string pattern = ::testing::TempDir() + "gpuvm-gitlab-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(folder_ + "/ci.toml") << "";
    // NOLINTNEXTLINE(concurrency-mt-unsafe): tests have one thread
    ::setenv("STUB_GUESTS", (folder_ + "/guests").c_str(), 1);
    options_.program = test::source_file("tests/fixtures/stub_gpuvm.sh");
    options_.state_folder = folder_ + "/jobs";
    options_.config_file = folder_ + "/ci.toml";
    options_.boot_limit = std::chrono::seconds(20);
    options_.power_off_limit = std::chrono::seconds(1);
    options_.stop_limit = std::chrono::seconds(10);
    job_.key = "7-0123abcd";
    job_.build_failure = 11;
    job_.system_failure = 12;
    job_.exit_code_file = folder_ + "/exit-code";
  }
  ~GitlabExecutorTest() override {
    gitlab_cleanup(job_, options_).has_value();
    std::filesystem::remove_all(folder_);
  }

  /// What the stub does: tests/fixtures/stub_gpuvm.sh.
  void behave(const std::string& how) { std::ofstream(folder_ + "/ci.toml") << how << '\n'; }
  int prepare() { return value(gitlab_prepare(job_, options_)); }
  int run(const std::string& script) {
    std::ofstream(folder_ + "/script") << script;
    return value(gitlab_run(job_, options_, folder_ + "/script"));
  }
  int cleanup() { return value(gitlab_cleanup(job_, options_)); }
  /// In place of an exit status.
  static int failed(ErrorKind kind) { return -1 - static_cast<int>(kind); }
  static int value(const Result<int>& result) {
    return result ? *result : failed(result.error().kind());
  }
  bool has_job_folder() const { return std::filesystem::exists(folder_ + "/jobs/" + job_.key); }

  std::string folder_;
  GitlabOptions options_;
  GitlabJob job_;
};

TEST_F(GitlabExecutorTest, ConfigIsJson) {
  options_.version = "1\"2";
  const auto config = nlohmann::json::parse(gitlab_config(job_, options_));
  EXPECT_EQ(config["builds_dir"], "/builds");
  EXPECT_EQ(config["cache_dir"], "/cache");
  EXPECT_EQ(config["builds_dir_is_shared"], false);
  EXPECT_EQ(config["hostname"], "ci-7-0123abcd");
  EXPECT_EQ(config["driver"]["name"], "gpuvm");
  EXPECT_EQ(config["driver"]["version"], "1\"2");
  EXPECT_EQ(config["job_env"][kJobKeyVariable], "7-0123abcd");
}

TEST_F(GitlabExecutorTest, AJob) {
  ASSERT_EQ(prepare(), 0);
  EXPECT_EQ(run("true"), 0);
  EXPECT_EQ(run("exit 3"), 11);
  EXPECT_EQ(text_of(job_.exit_code_file), "3\n");
  EXPECT_EQ(run("exit 69"), 11);  // a status that gpuvm ssh has, too
  EXPECT_EQ(text_of(job_.exit_code_file), "69\n");
  EXPECT_EQ(run("exit 255"), 11);  // and ssh
  EXPECT_EQ(text_of(job_.exit_code_file), "254\n");
  // What a script runs does not read the rest of it.
  EXPECT_EQ(run("cat >/dev/null\nexit 5\n"), 11);
  EXPECT_EQ(text_of(job_.exit_code_file), "5\n");
  EXPECT_EQ(cleanup(), 0);
  EXPECT_FALSE(has_job_folder());
  EXPECT_EQ(cleanup(), 0);
}

TEST_F(GitlabExecutorTest, TheGuestIsTheJobs) {
  options_.overrides = {"machine.cpus=3", "boot.vars=\"{folder}/vars\"", "name=\"other\""};
  options_.wait = "30m";
  ASSERT_EQ(prepare(), 0);
  const std::string words = text_of(folder_ + "/jobs/" + job_.key + "/words");
  EXPECT_THAT(words, HasSubstr("--set\nmachine.cpus=3\n"));
  EXPECT_THAT(words, HasSubstr("boot.vars=\"" + folder_ + "/jobs/" + job_.key + "/vars\"\n"));
  EXPECT_THAT(words, HasSubstr("--set\nname=\"other\"\n--set\nname=\"ci-7-0123abcd\"\n"));
  EXPECT_THAT(words, HasSubstr("--wait\n30m\n" + folder_ + "/ci.toml\n"));
  EXPECT_EQ(cleanup(), 0);
}

TEST_F(GitlabExecutorTest, AGuestThatDoesNotStartIsTheSystemsFault) {
  for (const char* status : {"69", "78", "75", "34", "0"}) {
    behave(std::string("start-fails ") + status);
    EXPECT_EQ(prepare(), 12) << status;
    cleanup();
    std::filesystem::remove_all(folder_ + "/jobs");
  }
}

TEST_F(GitlabExecutorTest, AnSshdThatDoesNotAnswer) {
  behave("deaf");
  options_.boot_limit = std::chrono::seconds(1);
  EXPECT_EQ(prepare(), 12);
  EXPECT_EQ(cleanup(), 0);
}

TEST_F(GitlabExecutorTest, WhatEndsTheGuestInTheMiddle) {
  const auto outcome = [this](const char* status) {
    behave("");
    EXPECT_EQ(prepare(), 0);
    const int got = run(std::string("echo ") + status + " >\"$STUB_FOLDER/end\"; sleep 0.5");
    cleanup();
    std::filesystem::remove_all(folder_ + "/jobs");
    return got;
  };
  for (const char* of_the_job : {"0", "32", "34", "3"}) {
    EXPECT_EQ(outcome(of_the_job), 11) << of_the_job;
  }
  for (const char* of_the_system : {"69", "70", "75", "78", "143"}) {
    EXPECT_EQ(outcome(of_the_system), 12) << of_the_system;
  }
}

TEST_F(GitlabExecutorTest, AGuestThatGivesAStatusOfOursIsTheJobs) {
  ASSERT_EQ(prepare(), 0);
  const std::string word = R"({"event":"word","channel":"exit_port","word":"exit","status":75})";
  EXPECT_EQ(run("echo '" + word +
                "' >>\"$STUB_FOLDER/events.jsonl\"; echo 75 >\"$STUB_FOLDER/end\"; sleep 0.5"),
            11);
  EXPECT_EQ(cleanup(), 0);
  EXPECT_FALSE(has_job_folder());
}

TEST_F(GitlabExecutorTest, ALostConnectionIsTheSystemsFault) {
  ASSERT_EQ(prepare(), 0);
  EXPECT_EQ(run("touch \"$STUB_FOLDER/lose\""), 12);
  EXPECT_EQ(cleanup(), 0);
}

TEST_F(GitlabExecutorTest, AGuestThatHangsIsTheJobsFault) {
  ASSERT_EQ(prepare(), 0);
  options_.stop_limit = std::chrono::seconds(1);
  EXPECT_EQ(run("touch \"$STUB_FOLDER/deaf\" \"$STUB_FOLDER/lose\""), 11);
  options_.stop_limit = std::chrono::seconds(10);
  EXPECT_EQ(cleanup(), 0);
}

TEST_F(GitlabExecutorTest, AGuestThatDoesNotPowerOffIsStopped) {
  behave("stubborn");
  ASSERT_EQ(prepare(), 0);
  EXPECT_EQ(cleanup(), 0);  // by the second signal
  EXPECT_FALSE(has_job_folder());
}

TEST_F(GitlabExecutorTest, UnsafeDevicesAreTold) {
  behave("reset-fails");
  ASSERT_EQ(prepare(), 0);
  EXPECT_EQ(cleanup(), 12);
  EXPECT_TRUE(has_job_folder());
}

TEST_F(GitlabExecutorTest, OneThatHadToBeKilledIsTold) {
  behave("deathless");
  ASSERT_EQ(prepare(), 0);
  options_.stop_limit = std::chrono::seconds(2);
  EXPECT_EQ(cleanup(), 12);
  EXPECT_TRUE(has_job_folder());
}

TEST_F(GitlabExecutorTest, JobsChooseAmongImages) {
  options_.images = folder_ + "/images";
  std::filesystem::create_directories(options_.images);
  std::ofstream(options_.images + "/debian.toml") << "";
  job_.image = "debian";
  ASSERT_EQ(prepare(), 0);
  EXPECT_THAT(text_of(folder_ + "/jobs/" + job_.key + "/words"),
              HasSubstr(options_.images + "/debian.toml\n"));
  EXPECT_EQ(cleanup(), 0);
  for (const char* wrong : {"other", "../ci", "./debian", "-x", "a/b", ".hidden"}) {
    job_.image = wrong;
    EXPECT_EQ(prepare(), 11) << wrong;
  }
  job_.image = "";
  options_.config_file = "";
  EXPECT_EQ(prepare(), 11);  // it is the job that has to choose
  options_.images = "";
  EXPECT_EQ(prepare(), failed(ErrorKind::kUsage));
}

TEST_F(GitlabExecutorTest, WithoutAGuestThereIsNothingToRun) {
  EXPECT_EQ(run("true"), failed(ErrorKind::kHost));
  EXPECT_EQ(cleanup(), 0);
}

TEST_F(GitlabExecutorTest, AFolderIsOfOneJob) {
  ASSERT_EQ(prepare(), 0);
  EXPECT_EQ(prepare(), failed(ErrorKind::kHost));
  EXPECT_EQ(cleanup(), 0);
}

}  // namespace
}  // namespace gpuvm::gitlab_executor_test
