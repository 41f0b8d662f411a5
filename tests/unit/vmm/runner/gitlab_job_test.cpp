// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/gitlab_job.hpp"

#include <gmock/gmock.h>

#include <map>

namespace gpuvm::gitlab_job_test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

EnvironmentLookup lookup_in(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
}

TEST(GitlabJobTest, TheFirstStageMakesTheKey) {
  const auto lookup = lookup_in({{"CUSTOM_ENV_CI_JOB_ID", "4711"},
                                 {"BUILD_FAILURE_EXIT_CODE", "3"},
                                 {"SYSTEM_FAILURE_EXIT_CODE", "4"},
                                 {"CUSTOM_ENV_CI_JOB_IMAGE", "debian"}});
  const auto job = begin_gitlab_job(lookup);
  const auto other = begin_gitlab_job(lookup);
  ASSERT_TRUE(job && other);
  EXPECT_THAT(job->key, MatchesRegex("4711-[0-9a-f]{8}"));
  EXPECT_NE(job->key, other->key);
  EXPECT_EQ(job->guest(), "ci-" + job->key);
  EXPECT_EQ(job->build_failure, 3);
  EXPECT_EQ(job->system_failure, 4);
  EXPECT_EQ(job->image, "debian");
}

TEST(GitlabJobTest, NumbersOfJobsAreNumbers) {
  for (const char* wrong : {"", "1/../2", "-1", "1 2", "123456789012345678901"}) {
    const auto job = begin_gitlab_job(lookup_in({{"CUSTOM_ENV_CI_JOB_ID", wrong}}));
    ASSERT_FALSE(job) << wrong;
    EXPECT_EQ(job.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(job.error().to_string(), HasSubstr("config_exec"));
  }
}

TEST(GitlabJobTest, OthersTakeItAsItWasMade) {
  const auto job = current_gitlab_job(lookup_in({{kJobKeyVariable, "4711-0123abcd"}}));
  ASSERT_TRUE(job) << job.error().to_string();
  EXPECT_EQ(job->key, "4711-0123abcd");
  for (const char* wrong : {"", "4711", "4711-", "4711-0123ABCD", "4711-0123abc",
                            "../4711-0123abcd", "-0123abcd", "4711-0123abcd/.."}) {
    EXPECT_FALSE(current_gitlab_job(lookup_in({{kJobKeyVariable, wrong}}))) << wrong;
  }
}

TEST(GitlabJobTest, StatusesThatAreNoneAreNotTaken) {
  for (const char* wrong : {"", "0", "256", "-1", "two", "1x"}) {
    const auto job = current_gitlab_job(lookup_in({{kJobKeyVariable, "1-00000000"},
                                                   {"BUILD_FAILURE_EXIT_CODE", wrong},
                                                   {"SYSTEM_FAILURE_EXIT_CODE", wrong}}));
    ASSERT_TRUE(job);
    EXPECT_EQ(job->build_failure, 1);
    EXPECT_EQ(job->system_failure, 2);
  }
}

}  // namespace
}  // namespace gpuvm::gitlab_job_test
