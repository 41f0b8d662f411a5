// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/gitlab_command.hpp"

#include <string>

namespace gpuvm::cli {
namespace {

constexpr unsigned kLongestLimit = 86400;

constexpr const char* kGitlabFooter =
    R"(The stages are for config.toml of GitLab Runner; examples/gitlab has a whole one:
  [runners.custom]
    config_exec = "/usr/bin/gpuvm"
    config_args = ["gitlab-executor", "config"]
    prepare_exec = "/usr/bin/gpuvm"
    prepare_args = ["gitlab-executor", "prepare", "/etc/gpuvm/ci.toml"]
    run_exec = "/usr/bin/gpuvm"
    run_args = ["gitlab-executor", "run"]
    cleanup_exec = "/usr/bin/gpuvm"
    cleanup_args = ["gitlab-executor", "cleanup"])";

void add_state_folder(CLI::App& stage, GitlabOptions& options) {
  stage
      .add_option("--state-dir", options.state_folder,
                  "Where jobs have their folders; the same for prepare, run and cleanup")
      ->type_name("FOLDER");
}

void add_guest_access(CLI::App& stage, GitlabOptions& options) {
  add_state_folder(stage, options);
  stage.add_option("--user", options.user, "Who runs the job in the guest (default: root)")
      ->type_name("USER");
  stage.add_option("--gpuvm", options.program, "The gpuvm to run (default: this one)")
      ->type_name("FILE");
}

void add_seconds(CLI::App& stage, const char* name, std::chrono::seconds& value,
                 const char* description) {
  stage
      .add_option_function<unsigned>(
          name, [&value](unsigned seconds) { value = std::chrono::seconds(seconds); }, description)
      ->type_name("SECONDS")
      ->check(CLI::Range(0U, kLongestLimit));
}

void add_prepare(CLI::App& executor, GitlabArguments& arguments,
                 std::function<Result<int>()>& verb) {
  auto* prepare = executor.add_subcommand("prepare", "Start the job's guest");
  GitlabOptions& options = arguments.options;
  prepare
      ->add_option("CONFIG", options.config_file,
                   "The guest of jobs that do not choose one, a TOML file")
      ->type_name("");
  prepare
      ->add_option("--images", options.images,
                   "A folder of guests: a job with image: NAME runs in that of NAME.toml")
      ->type_name("FOLDER");
  prepare
      ->add_option("--set", options.overrides,
                   "Change a key of the guest, for instance machine.cpus=4; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  prepare->add_option("--wait", options.wait, "How long to wait for a free card, such as 30m")
      ->type_name("DURATION");
  add_seconds(*prepare, "--boot-timeout", options.boot_limit,
              "From the guest's start until its sshd answers (default: 300)");
  add_guest_access(*prepare, options);
  prepare->callback([&] { verb = [&] { return gitlab_prepare_verb(arguments); }; });
}

void add_run_stage(CLI::App& executor, GitlabArguments& arguments,
                   std::function<Result<int>()>& verb) {
  auto* run = executor.add_subcommand("run", "Run a script of the runner's in the guest");
  run->add_option("SCRIPT", arguments.script, "The script")->type_name("")->required();
  run->add_option("STAGE", arguments.stage, "What the runner calls it, such as get_sources")
      ->type_name("")
      ->required();
  run->add_option("--shell", arguments.options.shell, "What runs it in the guest (default: bash)")
      ->type_name("PROGRAM");
  add_guest_access(*run, arguments.options);
  run->callback([&] { verb = [&] { return gitlab_run_verb(arguments); }; });
}

void add_cleanup(CLI::App& executor, GitlabArguments& arguments,
                 std::function<Result<int>()>& verb) {
  auto* cleanup = executor.add_subcommand("cleanup", "End the guest, and check its devices");
  add_seconds(*cleanup, "--power-off", arguments.options.power_off_limit,
              "What the guest has to power off before it is stopped (default: 10)");
  add_state_folder(*cleanup, arguments.options);
  cleanup->callback([&] { verb = [&] { return gitlab_cleanup_verb(arguments); }; });
}

}  // namespace

void add_gitlab_executor(CLI::App& app, GitlabArguments& arguments,
                         std::function<Result<int>()>& verb) {
  auto* executor = app.add_subcommand("gitlab-executor",
                                      "Run jobs of GitLab Runner, each in a guest of its own");
  executor->require_subcommand(1);
  executor->footer(kGitlabFooter);
  auto* config = executor->add_subcommand("config", "Tell the runner how the job is run");
  config
      ->add_option("--builds-dir", arguments.options.builds_folder,
                   "Where in the guest the job is built (default: /builds)")
      ->type_name("FOLDER");
  config
      ->add_option("--cache-dir", arguments.options.cache_folder,
                   "Where in the guest caches are (default: /cache)")
      ->type_name("FOLDER");
  config->callback([&] { verb = [&] { return gitlab_config_verb(arguments); }; });
  add_prepare(*executor, arguments, verb);
  add_run_stage(*executor, arguments, verb);
  add_cleanup(*executor, arguments, verb);
}

}  // namespace gpuvm::cli
