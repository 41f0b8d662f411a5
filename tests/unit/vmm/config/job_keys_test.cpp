// SPDX-License-Identifier: Apache-2.0
// The keys of [test] that make a job: what is read, and what is refused with which words.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::job_keys_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Result<Config> with(const std::string& line) {
  return parse_bootable("[test]\n" + line + "\n");
}

TEST(JobKeys, Defaults) {
  const auto test = parse_bootable("")->test;
  EXPECT_EQ(test.timeout, hours(1));
  EXPECT_EQ(test.first_console_timeout, seconds(0));
  EXPECT_EQ(test.console_timeout, seconds(0));
  EXPECT_EQ(test.retries, 0U);
  EXPECT_EQ(test.reboots, 0U);
  EXPECT_EQ(test.command, "");
}

TEST(JobKeys, Durations) {
  const std::pair<const char*, seconds> kSome[] = {
      {"off", seconds(0)},       {"1s", seconds(1)},
      {"90s", seconds(90)},      {"10min", minutes(10)},
      {"2h", hours(2)},          {"7d", hours(168)},
      {"1h 30min", minutes(90)}, {"1h30min5s", seconds(5405)},
      {"10m", minutes(10)},      {"1h30m", minutes(90)}};
  for (const auto& [text, length] : kSome) {
    const auto config = with("timeout = '" + std::string(text) + "'");
    ASSERT_TRUE(config) << config.error().to_string();
    EXPECT_EQ(config->test.timeout, length) << text;
  }
}

TEST(JobKeys, NoDurations) {
  for (const char* text : {"", "0s", "8d", "10", "10mi", "10M", "s", "-1s", "1.5h", "1h  30min",
                           "1h ", "ten", "99999999999s", "168h 1s", "4294967296s"}) {
    expect_error_contains(with("console_timeout = \"" + std::string(text) + "\""),
                          "test.console_timeout must be a duration of 1 s to 7 days");
  }
  expect_error_contains(with("timeout = 600"), "test.timeout must be a duration of 1 s to 7 days");
  expect_error_contains(with("timeout = '10x'"), "not \"10x\" (guest.toml:3:1");
}

TEST(JobKeys, OnePatternOrSeveral) {
  EXPECT_EQ(with("success_pattern = '^ok \\d'")->test.success_pattern,
            (std::vector<std::string>{"^ok \\d"}));
  EXPECT_EQ(with("failure_pattern = ['a', 'b']")->test.failure_pattern,
            (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(with("failure_pattern = []")->test.failure_pattern.empty());
}

TEST(JobKeys, PatternsThatDoNotCompileAreRefusedWithTheirPlace) {
  expect_error_contains(with("success_pattern = 'a(b'"),
                        "test.success_pattern \"a(b\" is no regular expression of RE2: missing )");
  expect_error_contains(with("success_pattern = 'a(b'"), "guest.toml:3:");
  expect_error_contains(with("failure_pattern = ['a', '*']"), "test.failure_pattern \"*\" is no");
  expect_error_contains(with("failure_pattern = ''"), "is empty");
  expect_error_contains(with("failure_pattern = '(a)\\1'"), "RE2");
  expect_error_contains(with("failure_pattern = '" + std::string(513, 'a') + "'"), "513");
  expect_error_contains(with("failure_pattern = 3"), "test.failure_pattern");
  std::string many;
  for (int i = 0; i < 33; ++i) {
    many += "'a',";
  }
  expect_error_contains(with("failure_pattern = [" + many + "]"), "has 33 patterns");
}

TEST(JobKeys, Numbers) {
  EXPECT_EQ(with("retries = 10")->test.retries, 10U);
  EXPECT_EQ(with("reboots = 1000")->test.reboots, 1000U);
  expect_error_contains(with("retries = 11"), "test.retries");
  expect_error_contains(with("reboots = -1"), "test.reboots");
}

TEST(JobKeys, Commands) {
  EXPECT_EQ(with("command = 'make check'")->test.command, "make check");
  expect_error_contains(with("command = '" + std::string(4097, 'a') + "'"), "4097");
  expect_error_contains(with("command = \"a\\nb\""), "test.command");
}

}  // namespace
}  // namespace gpuvm::job_keys_test
