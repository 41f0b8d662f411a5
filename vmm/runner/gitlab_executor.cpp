// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/gitlab_executor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "vmm/base/output_file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/runner/job_guest.hpp"
#include "vmm/runner/spawn.hpp"

namespace gpuvm {
namespace {

using StageClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenTries{500};
/// ssh's own, for a connection that is lost.
constexpr int kSshFailed = 255;
/// Of gpuvm ssh, for a guest whose configuration lets nobody in: no waiting helps.
constexpr int kNoWayIn = 78;

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  const std::string line = fmt::format(format, std::forward<Args>(args)...) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

template <class... Args>
void complain(fmt::format_string<Args...> format, Args&&... args) {
  std::fflush(stdout);
  const std::string line = fmt::format(format, std::forward<Args>(args)...) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string folder_of(const GitlabJob& job, const GitlabOptions& options) {
  return options.state_folder + "/" + job.key;
}

/// Signals wait as long as this lives: a guest that has been started is noted before they end us.
class SignalsLater {
 public:
  SignalsLater() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsLater() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsLater(const SignalsLater&) = delete;
  SignalsLater& operator=(const SignalsLater&) = delete;

 private:
  sigset_t before_{};
};

Result<JobGuest> start_guest(const GitlabJob& job, const GitlabOptions& options,
                             const std::string& config_file) {
  const SignalsLater later;
  return JobGuest::start(folder_of(job, options), {.program = options.program,
                                                   .name = job.guest(),
                                                   .config_file = config_file,
                                                   .overrides = options.overrides,
                                                   .wait = options.wait});
}

/// Of what the job may choose: names in one folder.
bool is_image_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= 128 && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

/// Errors: kUsage: the administrator's fault; kConfig: the job's.
Result<std::string> choose_config(const GitlabJob& job, const GitlabOptions& options) {
  if (job.image.empty() || options.images.empty()) {
    if (options.config_file.empty()) {
      return fail(options.images.empty() ? ErrorKind::kUsage : ErrorKind::kConfig, "{}",
                  options.images.empty()
                      ? "Neither CONFIG nor --images says which guest jobs have: see prepare_args "
                        "in the runner's config.toml"
                      : "This runner wants an image: in the job, the name of a guest");
    }
    return options.config_file;
  }
  const std::string path = fmt::format("{}/{}.toml", options.images, job.image);
  if (!is_image_name(job.image) || ::access(path.c_str(), R_OK) != 0) {
    return fail(ErrorKind::kConfig,
                "This runner has no guest for the job's image: the administrator adds one as "
                "NAME.toml to the folder of --images, and NAME is the image");
  }
  return path;
}

Result<int> ssh(const GitlabJob& job, const GitlabOptions& options, unsigned wait,
                const std::string& command, int input, int output) {
  const pid_t pid = TRY(spawn({.arguments = {options.program, "ssh", "--wait", std::to_string(wait),
                                             options.user + "@" + job.guest(), "--", command},
                               .input = input,
                               .output = output}));
  return await_end(pid);
}

/// The status of a command that does nothing.
Result<int> knock(const GitlabJob& job, const GitlabOptions& options, unsigned wait) {
  const UniqueFd nothing(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  return ssh(job, options, wait, "true", -1, nothing.get());
}

/// Whether a command can be run in the guest.
Result<bool> answers(const GitlabJob& job, const GitlabOptions& options, unsigned wait) {
  return TRY(knock(job, options, wait)) == 0;
}

const char* text_of_status(int status) {
  switch (status) {
    case 0:
      return "The guest powered off before the job was over";
    case 32:
      return "The guest wanted a restart before the job was over";
    case 34:
      return "The guest's kernel panicked";
    case 75:
      return "A device of the guest failed, or did not come back from its reset";
    case 69:
    case 70:
    case 78:
      return "gpuvm cannot run the guest on this host";
    default:
      return status > 128 ? "gpuvm was ended by a signal"
                          : "The guest ended before the job was over";
  }
}

/// Of gpuvm's exit statuses those that are not the job's doing.
bool is_systems_fault(std::optional<int> status) {
  return !status || (*status >= 64 && *status <= 78) || *status >= 120;
}

/// After the guest's end.
int tell_end(const GitlabJob& job, const JobGuest& guest) {
  const auto status = guest.exit_status();
  const bool is_guests = status && guest.events().guest_status == status;
  if (status) {
    complain("{} (gpuvm's exit status {}).",
             is_guests ? "The guest ended itself before the job was over" : text_of_status(*status),
             *status);
  } else {
    complain("gpuvm was killed.");
  }
  complain("The end of the guest's console:\n{}\nThe end of gpuvm's messages:\n{}",
           guest.console_tail(), guest.log_tail());
  return !is_guests && is_systems_fault(status) ? job.system_failure : job.build_failure;
}

/// Waits as long as it takes: a card may be waited for, and the runner has a limit of its own.
bool await_start(const JobGuest& guest) {
  while (guest.is_running()) {
    if (guest.events().has_run) {
      return true;
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
  return false;
}

Result<bool> await_sshd(const GitlabJob& job, const GitlabOptions& options, const JobGuest& guest) {
  constexpr unsigned kWait = 10;
  const auto end = StageClock::now() + options.boot_limit;
  while (guest.is_running() && StageClock::now() < end) {
    const int status = TRY(knock(job, options, kWait));
    if (status == 0) {
      return true;
    }
    if (status == kNoWayIn) {
      return fail(ErrorKind::kConfig,
                  "gpuvm ssh has no way into the guest: its configuration needs [vsock], or a "
                  "forward to its port 22 in a [[net]]");
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
  return false;
}

double seconds_since(StageClock::time_point begin) {
  return std::chrono::duration<double>(StageClock::now() - begin).count();
}

/// The whole script first: what it runs must not read the rest of it as its input. 255 stays
/// ssh's own.
std::string remote_command(const std::string& shell) {
  return fmt::format(
      "f=$(mktemp) && cat >\"$f\" && {} \"$f\" </dev/null; s=$?; rm -f \"$f\"; "
      "[ $s -ne 255 ] || s=254; exit $s",
      shell);
}

int build_failure(const GitlabJob& job, int status) {
  if (!job.exit_code_file.empty()) {
    // The runner's own; without it the job has failed all the same.
    static_cast<void>(
        replace_output(job.exit_code_file, fmt::format("{}\n", status), ErrorKind::kHost));
  }
  return job.build_failure;
}

/// When ssh or gpuvm ssh may have failed, and not the script. A guest that neither answers nor ends
/// hangs, and by the job's doing as far as anybody knows.
Result<int> tell_loss(const GitlabJob& job, const GitlabOptions& options, const JobGuest& guest,
                      int status) {
  constexpr unsigned kWait = 15;
  if (guest.is_running() && TRY(answers(job, options, kWait))) {
    if (status != kSshFailed) {
      return build_failure(job, status);
    }
    complain("The connection to the guest was lost, and the guest still runs.");
    return job.system_failure;
  }
  if (guest.await_end(options.stop_limit)) {
    return tell_end(job, guest);
  }
  complain("The guest does not answer any more. The end of its console:\n{}", guest.console_tail());
  return job.build_failure;
}

}  // namespace

std::string gitlab_config(const GitlabJob& job, const GitlabOptions& options) {
  const nlohmann::ordered_json config = {
      {"builds_dir", options.builds_folder},
      {"cache_dir", options.cache_folder},
      {"builds_dir_is_shared", false},
      {"hostname", job.guest()},
      {"driver", {{"name", "gpuvm"}, {"version", options.version}}},
      {"job_env", {{kJobKeyVariable, job.key}}},
  };
  return config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<int> gitlab_prepare(const GitlabJob& job, const GitlabOptions& options) {
  const auto config_file = choose_config(job, options);
  if (!config_file && config_file.error().kind() == ErrorKind::kConfig) {
    complain("{}.", config_file.error().to_string());
    return job.build_failure;
  }
  const auto begin = StageClock::now();
  const JobGuest guest = TRY(start_guest(job, options, TRY(config_file)));
  say("The guest {} of {} starts.", job.guest(), *config_file);
  if (!await_start(guest)) {
    tell_end(job, guest);
    return job.system_failure;
  }
  say("It runs after {:.1f} s.", seconds_since(begin));
  if (!TRY(await_sshd(job, options, guest))) {
    if (!guest.is_running()) {
      tell_end(job, guest);
    } else {
      complain("Its sshd has not answered within {} s. The end of its console:\n{}",
               options.boot_limit.count(), guest.console_tail());
    }
    return job.system_failure;
  }
  say("Its sshd answers after {:.1f} s.", seconds_since(begin));
  return 0;
}

Result<int> gitlab_run(const GitlabJob& job, const GitlabOptions& options,
                       const std::string& script) {
  constexpr unsigned kWait = 30;
  const JobGuest guest = TRY(JobGuest::find(folder_of(job, options)));
  if (!guest.is_running()) {
    return tell_end(job, guest);
  }
  const UniqueFd input(::open(script.c_str(), O_RDONLY | O_CLOEXEC));
  if (!input) {
    return fail_errno(ErrorKind::kHost, "Cannot read the stage's script " + script);
  }
  const int status = TRY(ssh(job, options, kWait, remote_command(options.shell), input.get(), -1));
  if (status == 0) {
    return 0;
  }
  const bool may_be_ours = status == kSshFailed || (status >= 64 && status <= 78);
  return may_be_ours || !guest.is_running() ? tell_loss(job, options, guest, status)
                                            : Result<int>(build_failure(job, status));
}

Result<int> gitlab_cleanup(const GitlabJob& job, const GitlabOptions& options) {
  const auto guest = JobGuest::find(folder_of(job, options));
  if (!guest) {
    say("{}: nothing was started.", job.guest());
    return 0;
  }
  const bool has_ended = guest->stop(options.power_off_limit, options.stop_limit);
  const auto events = guest->events();
  const auto unsafe = events.unsafe();
  if (events.is_cut) {
    say("{}: its events are too many to be read: only the first and last of them count here.",
        job.guest());
  }
  const bool says_unsafe = guest->exit_status() == 75 && events.guest_status != 75;
  if (has_ended && unsafe.empty() && !says_unsafe) {
    say("{}: ended; {} functions of devices reset and verified.", job.guest(),
        events.last_resets.size());
    guest->remove();
    return 0;
  }
  complain("{}: {}. gpuvm repairs devices at its next start; gpuvm reset does it now. {} is kept.",
           job.guest(),
           !has_ended       ? "gpuvm had to be killed, and has not reset its devices"
           : unsafe.empty() ? "a device was left unsafe"
                            : fmt::format("left unsafe: {}", fmt::join(unsafe, ", ")),
           folder_of(job, options));
  return job.system_failure;
}

}  // namespace gpuvm
