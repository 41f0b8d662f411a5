// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/gitlab_job.hpp"

#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>

namespace gpuvm {
namespace {

constexpr std::size_t kMostDigits = 20;
constexpr std::size_t kKeyDigits = 8;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= kMostDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_key(std::string_view text) {
  const auto dash = text.find('-');
  const std::string_view random = dash == std::string_view::npos ? "" : text.substr(dash + 1);
  return is_number(text.substr(0, dash)) && random.size() == kKeyDigits &&
         random.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// An exit status that the runner wants; another number than 1 to 255 is none of its making.
int status_or(const std::string& text, int otherwise) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && *end == '\0' && value > 0 && value < 256 ? value : otherwise;
}

GitlabJob common_of(const EnvironmentLookup& lookup) {
  GitlabJob job;
  job.build_failure = status_or(lookup("BUILD_FAILURE_EXIT_CODE"), job.build_failure);
  job.system_failure = status_or(lookup("SYSTEM_FAILURE_EXIT_CODE"), job.system_failure);
  job.exit_code_file = lookup("BUILD_EXIT_CODE_FILE");
  job.image = lookup("CUSTOM_ENV_CI_JOB_IMAGE");
  return job;
}

}  // namespace

std::string environment_value(const char* name) {
  const char* const value = ::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

Result<GitlabJob> begin_gitlab_job(const EnvironmentLookup& lookup) {
  // A job may set this to another's: for people, who look for the job's guest.
  const std::string number = lookup("CUSTOM_ENV_CI_JOB_ID");
  if (!is_number(number)) {
    return fail(ErrorKind::kUsage,
                "There is no job's number in CUSTOM_ENV_CI_JOB_ID: this verb is for the custom "
                "executor of GitLab Runner, as config_exec in its config.toml");
  }
  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return fail_errno(ErrorKind::kHost, "Cannot have random numbers");
  }
  GitlabJob job = common_of(lookup);
  job.key = fmt::format("{}-{:08x}", number, random);
  return job;
}

Result<GitlabJob> current_gitlab_job(const EnvironmentLookup& lookup) {
  GitlabJob job = common_of(lookup);
  job.key = lookup(kJobKeyVariable);
  if (!is_key(job.key)) {
    return fail(ErrorKind::kUsage,
                "{} is not what the stage config has made of it: set config_exec in the runner's "
                "config.toml, with config_args = [\"gitlab-executor\", \"config\"]",
                kJobKeyVariable);
  }
  return job;
}

}  // namespace gpuvm
