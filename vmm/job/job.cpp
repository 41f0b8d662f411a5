// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/job.hpp"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/job/console_record.hpp"
#include "vmm/job/result_json.hpp"
#include "vmm/test_report/console_cases.hpp"

namespace gpuvm {
namespace {

/// More lines of events are left out: a guest may cause some of them.
constexpr std::size_t kMostEvents = 100'000;

struct JobFile {
  const char* name;
  bool is_of_guest;  ///< there when a guest was started
};
constexpr JobFile kJobFiles[] = {
    {"console.log", true},   {"events.jsonl", true}, {"inspect.json", true}, {"resets.json", true},
    {"resolved.toml", true}, {"gpuvm.log", false},   {"result.json", false}};

/// What is written while guests run. Without a folder nothing is.
struct JobRecord {
  UniqueFd events;
  std::size_t event_count = 0;
  UniqueFd inspect;
  std::unique_ptr<ConsoleRecord> console;
  ConsoleCases cases;  ///< of the attempt that runs
  std::chrono::system_clock::time_point attempt_began = {};

  Status open(const JobOptions& options, const Config& config);
  void event(const GuestEvent& event);
  void begin_attempt() {
    cases = ConsoleCases();
    attempt_began = std::chrono::system_clock::now();
  }
  void line(const ConsoleLine& line) {
    console->line(line);
    cases.add_line(line.text, std::chrono::duration_cast<std::chrono::milliseconds>(line.time -
                                                                                    attempt_began));
  }
};

Status JobRecord::open(const JobOptions& options, const Config& config) {
  UniqueFd console_file;
  std::string console_name;
  if (const ArtifactFolder* const folder = options.artifacts) {
    TRY(folder->write("resolved.toml", to_toml(config)));
    events = TRY(folder->create("events.jsonl"));
    inspect = TRY(folder->create("inspect.json"));
    console_file = TRY(folder->create("console.log"));
    console_name = folder->path_of("console.log");
    TRY(folder->create("resets.json"));
  }
  console = std::make_unique<ConsoleRecord>(std::move(console_file), console_name);
  return {};
}

/// One at a time: whoever publishes events holds a lock.
void JobRecord::event(const GuestEvent& event) {
  if (!events || event_count == kMostEvents) {
    return;
  }
  ++event_count;
  const auto written =
      write_whole(events.get(), event_node(event).to_json() + "\n", "events.jsonl");
  if (!written) {
    log::warn("{}: events are not recorded any more", written.error().to_string());
    events.reset();
  }
}

constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP};

sigset_t ending_signals() {
  sigset_t set{};
  ::sigemptyset(&set);
  for (const int signal : kEndingSignals) {
    ::sigaddset(&set, signal);
  }
  return set;
}

/// Whether one that asks for the end waits.
bool is_end_wanted() {
  sigset_t waiting{};
  ::sigpending(&waiting);
  return std::any_of(std::begin(kEndingSignals), std::end(kEndingSignals),
                     [&waiting](int signal) { return ::sigismember(&waiting, signal) == 1; });
}

/// Between runs these signals would end the process, and with it the report.
void hold_ending_signals(bool hold) {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, nullptr);
}

JobLimits limits_of(const TestConfig& test) {
  return {.timeout = test.timeout,
          .first_console = test.first_console_timeout,
          .console = test.console_timeout};
}

Result<VerdictFold> fold_of(const TestConfig& test) {
  auto success = TRY(ConsolePatterns::create(test.success_pattern));
  auto failure = TRY(ConsolePatterns::create(test.failure_pattern));
  return VerdictFold(std::move(success), std::move(failure));
}

/// What came of one guest.
struct Attempt {
  Verdict verdict = {};
  bool may_go_better = false;  ///< the next time: the host failed, and nobody wants the end
  std::vector<JobPhase> phases = {};
  std::vector<JobReset> resets = {};
};

bool is_of_the_moment(const RunResult& result) {
  return result.error && result.signal == 0 &&
         (result.error->kind() == ErrorKind::kHost || result.error->kind() == ErrorKind::kInternal);
}

Result<Attempt> attempt(const Config& config, const JobOptions& options, JobRecord& record) {
  JobWatch::Options watched;
  watched.fold = TRY(fold_of(config.test));
  watched.limits = limits_of(config.test);
  watched.ending = options.ending;
  watched.reboots = config.test.reboots;
  watched.on_line = [&record](const ConsoleLine& line) { record.line(line); };
  watched.on_tick = options.on_tick;
  const auto watch = TRY(JobWatch::start(std::move(watched)));
  RunOptions run;
  run.observers.push_back([&record](const GuestEvent& event) { record.event(event); });
  if (record.inspect) {
    run.inspect_file = path_of_open_file(record.inspect.get());
  }
  watch->listen(run);
  const RunResult result = options.run(config, run);
  hold_ending_signals(true);
  Attempt made;
  made.verdict = watch->verdict(result);
  made.may_go_better = made.verdict.outcome == Outcome::kHostFault && is_of_the_moment(result);
  made.phases = watch->phases();
  made.resets = watch->resets();
  return made;
}

Attempt failed_attempt(const Error& error) {
  Attempt made;
  made.verdict = fault_verdict(error);
  return made;
}

/// Until one says what came of the test, or no more are allowed.
void run_attempts(const Config& config, const JobOptions& options, JobRecord& record,
                  JobReport& report) {
  const unsigned most = 1 + config.test.retries;
  for (report.attempts = 1;; ++report.attempts) {
    record.begin_attempt();
    auto made = attempt(config, options, record);
    Attempt done = made ? std::move(made).value() : failed_attempt(made.error());
    report.verdict = std::move(done.verdict);
    report.phases = std::move(done.phases);
    report.resets.insert(report.resets.end(), done.resets.begin(), done.resets.end());
    if (!done.may_go_better || report.attempts == most) {
      return;
    }
    log::warn("Attempt {} of {} failed for the host's fault: {}", report.attempts, most,
              report.verdict.reason);
    std::this_thread::sleep_for(options.retry_rest);
    if (is_end_wanted()) {
      log::warn("No further attempt: the job is to end");
      return;
    }
    hold_ending_signals(false);
  }
}

/// A folder that is full now does not change what came of the test.
void keep(const Status& status) {
  if (!status) {
    log::warn("{}", status.error().to_string());
  }
}

void list_artifacts(const ArtifactFolder& folder, bool has_run, JobReport& report) {
  for (const JobFile& file : kJobFiles) {
    if (has_run || !file.is_of_guest) {
      report.artifacts.push_back({file.name, folder.path_of(file.name)});
    }
  }
}

/// Whether the test that ran last may not have come to its end.
bool is_cut_short(Outcome outcome) {
  return outcome != Outcome::kPassed && outcome != Outcome::kFailed;
}

/// False: the job is skipped, or could not begin.
bool may_run(const Config& config, const JobOptions& options, JobRecord& record,
             JobReport& report) {
  const auto able = options.check_host ? options.check_host() : Status();
  if (!able && able.error().kind() == ErrorKind::kHost) {
    report.verdict = skipped_verdict(able.error().to_string());
    return false;
  }
  const auto opened = record.open(options, config);
  if (!opened) {
    report.verdict = fault_verdict(opened.error());
  }
  return opened.has_value();
}

}  // namespace

Config job_config(const Config& config) {
  Config job = config;
  if (job.test.reboots == 0) {
    job.machine.on_reboot = RebootAction::kExit;
  }
  return job;
}

JobReport run_job(const Config& wanted, const JobOptions& options) {
  const Config config = job_config(wanted);
  const auto began = std::chrono::steady_clock::now();
  JobReport report;
  report.guest = config.name;
  report.config_file = options.config_file;
  report.command = config.test.command;
  report.began = std::chrono::system_clock::now();
  JobRecord record;
  const bool runs = may_run(config, options, record, report);
  if (runs) {
    run_attempts(config, options, record, report);
    record.console->finish();
    report.cases = record.cases.finish(is_cut_short(report.verdict.outcome));
    report.console_tail = record.console->tail();
  }
  report.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  if (options.artifacts != nullptr) {
    list_artifacts(*options.artifacts, runs, report);
    if (runs) {
      keep(options.artifacts->write("resets.json", resets_json(report.resets)));
    }
    keep(options.artifacts->write("result.json", result_json(report)));
  }
  return report;
}

JobReport failed_job(const std::string& config_file, const Error& error) {
  JobReport report;
  report.config_file = config_file;
  report.began = std::chrono::system_clock::now();
  report.verdict = fault_verdict(error);
  return report;
}

}  // namespace gpuvm
