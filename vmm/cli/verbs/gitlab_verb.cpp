// SPDX-License-Identifier: Apache-2.0
// gpuvm gitlab-executor: the stages of GitLab Runner's custom executor. The runner knows failures
// of the job from those of the system by the exit status that it asks for.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm::cli {
namespace {

/// Root's jobs are where its guests are announced; others' in their own runtime folder.
Result<std::string> default_state_folder() {
  const HostSystem host;
  if (may_write_state(host)) {
    return host.path(fmt::format("{}/gitlab", kStateDirectory));
  }
  const std::string runtime = environment_value("XDG_RUNTIME_DIR");
  if (runtime.empty() || runtime.front() != '/') {
    return fail(
        ErrorKind::kUsage,
        "There is no folder for jobs: this user may not write {}, and XDG_RUNTIME_DIR is not "
        "set. Give one to prepare, run and cleanup by --state-dir",
        kStateDirectory);
  }
  return runtime + "/gpuvm/gitlab";
}

Status complete(GitlabOptions& options) {
  if (options.state_folder.empty()) {
    options.state_folder = TRY(default_state_folder());
  }
  options.state_folder =
      std::filesystem::absolute(options.state_folder).lexically_normal().string();
  if (options.program.empty()) {
    std::error_code error;
    const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
    options.program = error ? "/usr/bin/gpuvm" : path.string();
  }
  return {};
}

using Stage = std::function<Result<int>(const GitlabJob&, const GitlabOptions&)>;

Result<int> run_stage(const GitlabArguments& arguments, const Stage& stage) {
  GitlabOptions options = arguments.options;
  TRY(complete(options));
  const auto job = TRY(current_gitlab_job(environment_value));
  const auto status = stage(job, options);
  if (status) {
    return *status;
  }
  std::fprintf(stderr, "gpuvm: error: %s\n", status.error().to_string().c_str());
  return job.system_failure;
}

}  // namespace

Result<int> gitlab_config_verb(const GitlabArguments& arguments) {
  GitlabOptions options = arguments.options;
  options.version = GPUVM_VERSION;
  const auto job = TRY(begin_gitlab_job(environment_value));
  TRY(print(gitlab_config(job, options)));
  return 0;
}

Result<int> gitlab_prepare_verb(const GitlabArguments& arguments) {
  return run_stage(arguments, gitlab_prepare);
}

Result<int> gitlab_run_verb(const GitlabArguments& arguments) {
  return run_stage(arguments, [&](const GitlabJob& job, const GitlabOptions& options) {
    return gitlab_run(job, options, arguments.script);
  });
}

Result<int> gitlab_cleanup_verb(const GitlabArguments& arguments) {
  return run_stage(arguments, gitlab_cleanup);
}

}  // namespace gpuvm::cli
