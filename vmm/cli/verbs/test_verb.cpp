// SPDX-License-Identifier: Apache-2.0
// gpuvm test: a guest as a job, whose exit status is what came of its test.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/text.hpp"
#include "vmm/cards/take_cards.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/containment/sandbox_guard.hpp"
#include "vmm/first_boot/command.hpp"
#include "vmm/job/job.hpp"
#include "vmm/job/job_record.hpp"
#include "vmm/job/report_files.hpp"
#include "vmm/job/result_json.hpp"
#include "vmm/login/ssh_command.hpp"
#include "vmm/machine/owner/owned_run.hpp"
#include "vmm/machine/preview/preview.hpp"
#include "vmm/machine/preview/start_check.hpp"
#include "vmm/test_report/clean_text.hpp"
#include "vmm/test_report/github.hpp"
#include "vmm/test_report/junit.hpp"
#include "vmm/verdict/job_limits.hpp"
#include "vmm/verdict/verdict_fold.hpp"

namespace gpuvm::cli {
namespace {

constexpr std::size_t kShownLines = 30;  ///< of a console that nobody has seen
constexpr int kSignalled = 128;          ///< and the signal: an exit status

/// One word is a line for the guest's shell; of several each is a word there, too.
std::string command_line(const std::vector<std::string>& words) {
  if (words.size() == 1) {
    return words.front();
  }
  std::string line;
  for (const std::string& word : words) {
    line += (line.empty() ? "" : " ") + shell_quoted(word);
  }
  return line;
}

bool is_stdio(const SerialTarget& target) {
  return target.kind == SerialTarget::Kind::kStdio;
}

bool shows_console(const Config& config) {
  return std::any_of(config.console.serial.begin(), config.console.serial.end(), is_stdio) ||
         std::any_of(config.console.virtio.begin(), config.console.virtio.end(), is_stdio);
}

/// On a terminal that the console does not need: one line that is written over.
void show_progress(const JobProgress& progress) {
  const auto seconds = [](std::chrono::milliseconds time) {
    return duration_text(std::chrono::duration_cast<std::chrono::seconds>(time));
  };
  std::string text = fmt::format("{}{}", to_string(progress.state),
                                 progress.is_ending  ? ", at its end"
                                 : progress.is_ready ? ", ready"
                                                     : "");
  if (progress.runs_for.count() > 0) {
    text += fmt::format(", {}", seconds(progress.runs_for));
  }
  if (progress.silent_for && *progress.silent_for > std::chrono::seconds(2)) {
    text += fmt::format(", silent for {}", seconds(*progress.silent_for));
  }
  std::fprintf(stderr, "\r\033[K%s\r", text.c_str());
}

/// Another job of the same file may have the name, and runs beside this one.
bool is_shared_name(const Config& config, const Finding& finding) {
  return finding.check == kControlCheck && config.control.socket == ControlConfig::Socket::kAuto &&
         !finding.outcome && finding.outcome.error().kind() == ErrorKind::kHost;
}

/// The first of the checks that a run makes before it touches a device. A device that is not there
/// is a wrong configuration elsewhere; for a job it is the wrong host.
Status check_host(const Config& config) {
  const HostSystem host;
  InspectNode node("");
  const auto cards = preview_cards(host, config, node);
  for (const Finding& finding : cards.findings) {
    TRY(finding.outcome);
  }
  const auto findings = TRY(preview_machine(host, cards.config, node));
  for (const Finding& finding : findings) {
    if (is_shared_name(config, finding)) {
      continue;
    }
    if (!finding.outcome && !finding.of.empty() &&
        finding.outcome.error().kind() == ErrorKind::kConfig) {
      return Error(ErrorKind::kHost, finding.outcome.error().to_string());
    }
    TRY(finding.outcome);
  }
  return {};
}

Status check_warm_test(const Config& config) {
  if (config.test.command.empty()) {
    return fail(ErrorKind::kConfig,
                "A warm guest runs a command: give one behind --, or as test.command");
  }
  return {};
}

Result<Config> read_job(const TestArguments& arguments) {
  auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  if (!arguments.command.empty()) {
    config.test.command = command_line(arguments.command);
  }
  if (!arguments.warm.empty()) {
    TRY(check_warm_test(config));  // the guest has booted: its command comes another way
  } else if (!config.test.command.empty()) {
    TRY(add_command(config, config.test.command));
  }
  return config;
}

/// The guest, once there is a card for it. `waited` is how long that took.
RunResult run_with_cards(const Config& config, const RunOptions& options,
                         std::optional<std::chrono::seconds> wait,
                         std::chrono::milliseconds& waited) {
  const HostSystem host;
  const auto began = std::chrono::steady_clock::now();
  auto cards = take_cards_and_tell(host, config, wait);
  waited = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 began);
  RunResult result;
  if (!cards) {
    result.end = RunEnd::kFailed;
    result.error = std::move(cards).error();
    return result;
  }
  if (cards->signal) {
    result.end = RunEnd::kStartBrokenOff;
    result.signal = *cards->signal;
    result.exit_status = kSignalled + *cards->signal;
    return result;
  }
  RunOptions with_claims = options;
  with_claims.claims = &cards->claims;
  return run_machine(cards->config, with_claims);
}

/// A wait for a card is no part of the guest's start.
void add_wait(JobReport& report, std::chrono::milliseconds waited) {
  if (!report.phases.empty()) {
    auto& start = report.phases.front();
    start.duration -= std::min(start.duration, waited);
  }
  report.phases.insert(report.phases.begin(), JobPhase{"wait", waited});
}

JobReport run_it(const TestArguments& arguments, const Config& config,
                 const ArtifactFolder* artifacts, Owner* owner) {
  const bool has_line = ::isatty(STDERR_FILENO) == 1 && !shows_console(config);
  JobOptions options;
  options.config_file = arguments.config_file;
  options.artifacts = artifacts;
  if (arguments.skip_if_unavailable) {
    options.check_host = [&config] { return check_host(config); };
  }
  if (has_line) {
    options.on_tick = show_progress;
  }
  std::chrono::milliseconds waited{0};
  options.run = [&](const Config& job, const RunOptions& run) {
    RunOptions with_file = run;
    with_file.config_file = arguments.config_file;
    with_file.owner = owner;
    with_file.shares_name = true;  // jobs of one file may run at the same time
    if (!arguments.warm.empty()) {
      return run_warm_with_cards(
          {.pool = arguments.warm, .command = job.test.command, .wait = arguments.wait}, job,
          with_file, waited);
    }
    return run_with_cards(job, with_file, arguments.wait, waited);
  };
  if (arguments.wait) {
    options.complete = [&waited](JobReport& report) { add_wait(report, waited); };
  }
  JobReport report = run_job(config, options);
  if (has_line) {
    std::fputs("\r\033[K", stderr);
  }
  return report;
}

std::string last_lines(const std::string& text) {
  std::size_t begin = text.size() - 1;
  for (std::size_t lines = 0; begin > 0 && lines < kShownLines; --begin) {
    lines += text[begin - 1] == '\n' ? 1U : 0U;
  }
  return text.substr(begin + (begin > 0 ? 1 : 0));
}

/// What a GitHub runner must not take for commands of ours stands in a group; elsewhere as it is.
class Shown {
 public:
  static Result<Shown> make() {
    Shown shown;
    shown.github_ = github::environment();
    if (shown.github_.is_there) {
      shown.group_ = TRY(github::ConsoleGroup::make());
    }
    return shown;
  }
  bool is_github() const { return github_.is_there; }
  std::string begin(const std::string& title) const { return group_ ? group_->begin(title) : ""; }
  std::string end() const { return group_ ? group_->end() : ""; }
  /// What GitHub shows beside the log.
  Status annotate(const JobReport& report) const {
    if (!github_.is_there) {
      return {};
    }
    TRY(print(github::error_annotation(report)));
    return github_.summary_file.empty() ? Status()
                                        : github::append_summary(github_.summary_file, report);
  }

 private:
  github::Environment github_;
  std::optional<github::ConsoleGroup> group_;
};

/// One line, of words that may be the guest's.
std::string safe_line(const std::string& text) {
  constexpr std::size_t kMostShown = 4096;
  return without_runner_commands(clean_line(text, kMostShown));
}

/// For people: what their guest printed last, where they have not seen it and the test failed, and
/// one line that says what came of it. A GitHub runner reads two streams, each in its own time:
/// what stands around the guest's text must be in the same one as the annotation that follows.
void tell(const JobReport& report, bool has_seen_console, const Shown& shown) {
  std::FILE* const stream = shown.is_github() ? stdout : stderr;
  const bool is_well =
      report.verdict.outcome == Outcome::kPassed || report.verdict.outcome == Outcome::kSkipped;
  if (!is_well && !has_seen_console && !report.console_tail.empty()) {
    std::fprintf(stream, "%sThe console's last lines:\n%s%s",
                 shown.begin(fmt::format("Console of {}", report.guest)).c_str(),
                 without_runner_commands(clean_text(last_lines(report.console_tail))).c_str(),
                 shown.end().c_str());
  }
  const std::string line = fmt::format(
      "gpuvm test: {} ({}) after {}: {}", outcome_name(report.verdict.outcome),
      report.verdict.exit_status, duration_text(report.duration), safe_line(report.verdict.reason));
  std::fprintf(stream, "%s\n", (shown.is_github() ? github::without_commands(line) : line).c_str());
  std::fflush(stream);
}

/// The job, its console on standard output between what a runner needs around it.
Result<JobReport> run_shown(const TestArguments& arguments, const Config& config,
                            const ArtifactFolder* artifacts, const SplitProcess& split) {
  Owner* const owner = split.monitor.get();
  if (arguments.warm.empty()) {  // else another process runs the guest
    TRY(prepare_sandbox(config, {.has_owner = owner != nullptr,
                                 .why = split.reason}));  // while there is one thread
  }
  const auto shown = TRY(Shown::make());
  const bool has_console = shows_console(config);
  if (has_console) {
    TRY(print(shown.begin("Console of " + config.name)));
  }
  JobReport report = run_it(arguments, config, artifacts, owner);
  if (has_console) {
    TRY(print(shown.end()));
  }
  tell(report, has_console, shown);
  if (const auto annotated = shown.annotate(report); !annotated) {
    log::warn("{}", annotated.error().to_string());
  }
  return report;
}

/// What a guest could put in the place of its own report.
void warn_of_shares(const TestArguments& arguments, const Config& config) {
  for (const std::string& path : paths_guest_may_write(
           config, {arguments.artifacts, arguments.result_json, arguments.junit})) {
    log::warn(
        "The guest can change {}, and so what is reported there: have it elsewhere, or set "
        "read_only = true for the share",
        path);
  }
}

constexpr OwnedVerb kOwnedJob{
    .is_job = true, .status_of_killed = kStatusHostFault, .status_of_unsafe = kStatusUnsafeDevice};

Result<int> test_or_error(const TestArguments& arguments) {
  std::optional<ArtifactFolder> artifacts;
  if (!arguments.artifacts.empty()) {
    artifacts = TRY(ArtifactFolder::open(arguments.artifacts));
    TRY(check_report_paths(*artifacts, {arguments.result_json, arguments.junit}));
  }
  UniqueFd log_file;  // open as long as messages are written to it
  if (artifacts) {
    log_file = TRY(artifacts->create("gpuvm.log"));
    TRY(log::set_file(path_of_open_file(log_file.get())));
  }
  const auto files =
      TRY(ReportFiles::open({{arguments.result_json, result_json}, {arguments.junit, junit_text}}));
  const auto config = read_job(arguments);
  if (config) {
    warn_of_shares(arguments, *config);
  }
  const bool splits = config && arguments.warm.empty();
  const SplitProcess split = splits ? TRY(split_run(*config, kOwnedJob)) : SplitProcess{};
  if (split.exit_status) {
    return *split.exit_status;
  }
  const JobReport report =
      config ? TRY(run_shown(arguments, *config, artifacts ? &*artifacts : nullptr, split))
             : failed_job(arguments.config_file, config.error());
  if (!config && artifacts) {
    TRY(artifacts->write("result.json", result_json(report)));
  }
  TRY(files.write(report));
  if (!config) {
    return config.error();
  }
  return report.verdict.exit_status;
}

/// What ended a job before it began stands beside the log of a workflow, too.
void annotate_error(const TestArguments& arguments, const Error& error) {
  const auto shown = Shown::make();
  const auto annotated =
      shown ? shown->annotate(failed_job(arguments.config_file, error)) : Status();
  if (!annotated) {
    log::warn("{}", annotated.error().to_string());
  }
}

}  // namespace

Result<int> test_verb(const TestArguments& arguments) {
  TRY(set_up_log(arguments.log));
  auto status = test_or_error(arguments);
  if (!status) {
    annotate_error(arguments, status.error());
  }
  return status;
}

}  // namespace gpuvm::cli
