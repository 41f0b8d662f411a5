// SPDX-License-Identifier: Apache-2.0
// What GitLab Runner tells the stages of its custom executor about a job, by environment variables
// (docs.gitlab.com/runner/executors/custom). Variables of the job itself have CUSTOM_ENV_ in front;
// who writes the job decides about most of them, and so they may choose among what the
// administrator offers, and name nothing else.
#pragma once

#include <functional>
#include <string>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// The value of an environment variable; empty: it is not there.
using EnvironmentLookup = std::function<std::string(const char* name)>;

/// The process's own.
std::string environment_value(const char* name);

struct GitlabJob {
  std::string key = {};             ///< of this run of the job, "4711-9f2c01d3"
  int build_failure = 1;            ///< exit status for what the job has done itself
  int system_failure = 2;           ///< for all else
  std::string exit_code_file = {};  ///< for the job's own exit status; empty: the runner has none
  std::string image = {};           ///< `image:` of the job; empty: none

  /// The guest's name.
  std::string guest() const { return "ci-" + key; }
};

/// The variable by which the first stage hands the key to the others: the runner gives it back, and
/// a job cannot set it.
inline constexpr const char* kJobKeyVariable = "GPUVM_GITLAB_JOB";

/// Of the first stage, which makes the key: the job's number, and something that nobody can guess.
/// Errors: kUsage where this is no stage of GitLab Runner.
Result<GitlabJob> begin_gitlab_job(const EnvironmentLookup& lookup);

/// Of a later stage. Errors: kUsage, also for a key that begin_gitlab_job() would not have made.
Result<GitlabJob> current_gitlab_job(const EnvironmentLookup& lookup);

}  // namespace gpuvm
