// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/job.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "vmm/base/log.hpp"
#include "vmm/job/job_record.hpp"
#include "vmm/job/result_json.hpp"

namespace gpuvm {
namespace {

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

/// Where no run takes them these signals would end the process, and with it the report.
void hold_ending_signals() {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
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
  std::atomic<bool> is_violated{false};
  run.observers.push_back([&record, &is_violated](const GuestEvent& event) {
    record.event(event);
    const auto* const news = std::get_if<SandboxNews>(&event.what);
    is_violated = is_violated || (news != nullptr && news->state == "violated");
  });
  run.inspect_file = record.inspect_path();
  run.holds_ending_signals = true;
  watch->listen(run);
  const RunResult result = options.run(config, run);
  hold_ending_signals();
  Attempt made;
  made.verdict = watch->verdict(result);
  // A guest that has taken a thread over may have the rest of this process, too.
  made.may_go_better =
      made.verdict.outcome == Outcome::kHostFault && is_of_the_moment(result) && !is_violated;
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
  }
}

/// A folder that is full now does not change what came of the test.
void keep(const Status& status) {
  if (!status) {
    log::warn("{}", status.error().to_string());
  }
}

/// Nothing: the job is skipped, or could not begin.
std::unique_ptr<JobRecord> begin_record(const Config& config, const JobOptions& options,
                                        JobReport& report) {
  const auto able = options.check_host ? options.check_host() : Status();
  if (!able && able.error().kind() == ErrorKind::kHost) {
    report.verdict = skipped_verdict(able.error().to_string());
    return nullptr;
  }
  auto opened = JobRecord::open(options.artifacts, config);
  if (!opened) {
    report.verdict = fault_verdict(opened.error());
    return nullptr;
  }
  return std::move(opened).value();
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
  hold_ending_signals();  // until the run takes them: a job that began has a report
  const auto record = begin_record(config, options, report);
  if (record) {
    run_attempts(config, options, *record, report);
    record->finish(report);
  }
  report.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  if (options.complete) {
    options.complete(report);
  }
  if (options.artifacts != nullptr) {
    list_artifacts(*options.artifacts, config, record != nullptr, report);
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
