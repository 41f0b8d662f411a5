// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/github.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace gpuvm::github_test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

JobReport failed_report() {
  JobReport report;
  report.guest = "ci,1";
  report.command = "make check";
  report.verdict.outcome = Outcome::kFailed;
  report.verdict.exit_status = 3;
  report.verdict.channel = "status_port";
  report.verdict.reason = "50% of it: no\n::set-env name=PATH::/tmp";
  report.resets.push_back({.reason = "stop",
                           .functions = "0000:01:00.0",
                           .method = "FLR",
                           .verdict = "verified",
                           .duration_ms = 131});
  report.cases.push_back({.suite = "net", .name = "tls", .outcome = CaseOutcome::kPassed});
  report.cases.push_back({.suite = "a|b",
                          .name = "<script>`x`",
                          .outcome = CaseOutcome::kFailed,
                          .details = "[link](http://evil)\nmore"});
  report.console_tail = "line\n\n</pre><h1>hello</h1>\n";
  return report;
}

TEST(GithubTest, AnAnnotationIsOneLine) {
  EXPECT_EQ(github::error_annotation(failed_report()),
            "::error title=gpuvm test ci%2C1%3A failed::50%25 of it: no ::set-env name=PATH::/tmp "
            "(exit status 3)\n");
}

TEST(GithubTest, AJobThatDidNotBeginHasNoGuest) {
  auto report = failed_report();
  report.guest.clear();
  EXPECT_TRUE(github::error_annotation(report).starts_with("::error title=gpuvm test%3A failed::"));
  EXPECT_NE(github::summary(report).find(" gpuvm test: failed\n"), std::string::npos);
}

TEST(GithubTest, NoAnnotationWithoutAFailure) {
  auto report = failed_report();
  report.verdict.outcome = Outcome::kPassed;
  EXPECT_EQ(github::error_annotation(report), "");
  report.verdict.outcome = Outcome::kSkipped;
  EXPECT_EQ(github::error_annotation(report), "");
}

TEST(GithubTest, NoCommandsWithinTheConsole) {
  const github::ConsoleGroup group("TOKEN");
  EXPECT_EQ(group.begin("the console\n::error::x"),
            "::group::the console ::error::x\n::stop-commands::TOKEN\n");
  EXPECT_EQ(group.end(), "\n::TOKEN::\n::endgroup::\n");
}

TEST(GithubTest, ALineOfTheLogIsNoCommand) {
  EXPECT_EQ(github::without_commands("failed: 3 :: 4 ## [x]"), "failed: 3 :: 4 ## [x]");
  EXPECT_EQ(github::without_commands("::error::x"), "| ::error::x");
  EXPECT_EQ(github::without_commands("  ::error::x"), "|   ::error::x");
  EXPECT_EQ(github::without_commands("it said ##[error]x###[add-path]"),
            "it said # #[error]x## #[add-path]");
  EXPECT_EQ(github::without_commands("a\n::error::x"), "a ::error::x");
}

TEST(GithubTest, TokensDiffer) {
  const auto one = github::ConsoleGroup::make();
  const auto other = github::ConsoleGroup::make();
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->end().size(), std::string("\n::::\n::endgroup::\n").size() + 32);
  EXPECT_NE(one->end(), other->end());
}

TEST(GithubTest, ASummaryHasAllThatCounts) {
  const auto text = github::summary(failed_report());
  EXPECT_THAT(text, StartsWith("### ❌ gpuvm test ci,1: failed\n"));
  EXPECT_THAT(text, HasSubstr("| Exit status | 3 |"));
  EXPECT_THAT(text, HasSubstr("| stop | 0000&#58;01&#58;00.0 | FLR | verified | 0.1 s |"));
  EXPECT_THAT(text, HasSubstr("2 test cases: 1 passed, 1 failed, 0 broken off, 0 skipped"));
  EXPECT_THAT(text, Not(HasSubstr("| net | tls |")));
}

TEST(GithubTest, ASummaryTakesNoMarkupFromTheGuest) {
  const auto text = github::summary(failed_report());
  EXPECT_THAT(text, HasSubstr("| a&#124;b | &#60;script&#62;&#96;x&#96; | &#91;link&#93;"));
  EXPECT_THAT(text, Not(HasSubstr("more |")));
  EXPECT_THAT(text, HasSubstr("&lt;/pre&gt;&lt;h1&gt;hello"));
  // Its own end is the only one.
  EXPECT_EQ(text.find("</pre>"), text.rfind("</pre>"));
}

TEST(GithubTest, ASummaryIsSmall) {
  auto report = failed_report();
  for (int i = 0; i < 20000; ++i) {
    report.cases.push_back({.suite = std::string(500, '|'),
                            .name = std::string(500, '|'),
                            .outcome = CaseOutcome::kBroken,
                            .details = std::string(5000, '|')});
    report.resets.push_back({.reason = std::string(5000, '|')});
  }
  report.console_tail.assign(1000000, '&');
  EXPECT_LT(github::summary(report).size(), std::size_t{1} << 20);
}

TEST(GithubTest, ASummaryIsAppended) {
  const std::string file = ::testing::TempDir() + "gpuvm-github-summary";
  std::filesystem::remove(file);
  ASSERT_TRUE(github::append_summary(file, failed_report()));
  ASSERT_TRUE(github::append_summary(file, failed_report()));
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  EXPECT_EQ(text.str(), github::summary(failed_report()) + github::summary(failed_report()));
  std::filesystem::remove(file);
  EXPECT_FALSE(github::append_summary("/proc/no/such/folder", failed_report()));
}

TEST(GithubTest, ASummaryFollowsNoLink) {
  const std::string file = ::testing::TempDir() + "gpuvm-github-link";
  std::filesystem::remove(file);
  std::filesystem::create_symlink(file + ".victim", file);
  EXPECT_FALSE(github::append_summary(file, failed_report()));
  EXPECT_FALSE(std::filesystem::exists(file + ".victim"));
  std::filesystem::remove(file);
}

TEST(GithubTest, TheEnvironment) {
  // NOLINTBEGIN(concurrency-mt-unsafe): this test has one thread
  ::unsetenv("GITHUB_ACTIONS");
  EXPECT_FALSE(github::environment().is_there);
  ::setenv("GITHUB_ACTIONS", "true", 1);
  ::setenv("GITHUB_STEP_SUMMARY", "/tmp/summary", 1);
  EXPECT_TRUE(github::environment().is_there);
  EXPECT_EQ(github::environment().summary_file, "/tmp/summary");
  ::unsetenv("GITHUB_ACTIONS");
  ::unsetenv("GITHUB_STEP_SUMMARY");
  // NOLINTEND(concurrency-mt-unsafe)
}

}  // namespace
}  // namespace gpuvm::github_test
