// SPDX-License-Identifier: Apache-2.0
// The stages of GitLab Runner's custom executor (docs.gitlab.com/runner/executors/custom): each job
// runs in a guest of its own, and its devices are reset and verified when it is over.
// Missing: services, and the interactive terminal, which the custom executor has not.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/runner/gitlab_job.hpp"

namespace gpuvm {

struct GitlabOptions {
  std::string program;                      ///< path of gpuvm
  std::string version = {};                 ///< of it
  std::string state_folder;                 ///< where jobs have their folders
  std::string config_file = {};             ///< of guests of jobs without `image:`
  std::string images = {};                  ///< folder with NAME.toml for `image: NAME`
  std::vector<std::string> overrides = {};  ///< as for --set
  std::string wait = {};                    ///< as for --wait, for a card
  std::string user = "root";                ///< in the guest
  std::string shell = "bash";               ///< in the guest, for the job's scripts
  std::string builds_folder = "/builds";    ///< in the guest
  std::string cache_folder = "/cache";      ///< in the guest
  std::chrono::seconds boot_limit{300};     ///< from the guest's start until its sshd answers
  std::chrono::seconds power_off_limit{10};
  std::chrono::seconds stop_limit{240};  ///< until the devices are reset and given back
};

/// What the stage config prints: JSON of the documented keys, with the job's key for the others.
std::string gitlab_config(const GitlabJob& job, const GitlabOptions& options);

/// Starts the job's guest and waits until its sshd answers. The result is the exit status that the
/// runner wants; messages are on standard output and error, which are the job's log.
/// Errors, of all stages, are the system's, not the job's: kUsage, kHost, kConfig.
Result<int> gitlab_prepare(const GitlabJob& job, const GitlabOptions& options);

/// Runs a script of the runner's in the guest.
Result<int> gitlab_run(const GitlabJob& job, const GitlabOptions& options,
                       const std::string& script);

/// Ends the guest, and tells whether its devices are fit for the next one; no job's outcome changes
/// by it.
Result<int> gitlab_cleanup(const GitlabJob& job, const GitlabOptions& options);

}  // namespace gpuvm
