// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/job_watch.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// Without anything to wait for: only so that a clock that jumps does no harm.
constexpr std::chrono::seconds kLongestSleep{60};
constexpr std::chrono::seconds kTick{1};

GuestControl::Done log_refusal(const char* what) {
  return [what](const Status& status) {
    if (!status) {
      log::debug("{}: {}", what, status.error().to_string());
    }
  };
}

}  // namespace

JobWatch::JobWatch(Options options)
    : reboots_allowed_(options.reboots),
      limit_lengths_(options.limits),
      on_line_(std::move(options.on_line)),
      on_tick_(std::move(options.on_tick)),
      lines_{ConsoleLines([this](const ConsoleLine& text) { line(text); }),
             ConsoleLines([this](const ConsoleLine& text) { line(text); })},
      fold_(std::move(options.fold)),
      limits_(options.limits),
      ending_(options.ending),
      began_(Clock::now()) {}

Result<std::unique_ptr<JobWatch>> JobWatch::start(Options options) {
  std::unique_ptr<JobWatch> watch(new JobWatch(std::move(options)));
  try {
    watch->thread_ = std::thread([raw = watch.get()] {
      enter_background_thread("job");
      sandbox::enter(sandbox::ThreadRole::kJob);
      raw->run();
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost, "Cannot start the thread that watches a job: {} (`ulimit -u`)",
                error.what());
  }
  return watch;
}

JobWatch::~JobWatch() {
  {
    const MutexLock lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void JobWatch::listen(RunOptions& run) {
  run.observers.push_back([this](const GuestEvent& what) { event(what); });
  run.on_console = [this](ConsoleSource source, std::span<const std::byte> bytes) {
    console(source, bytes);
  };
  run.on_control = [this](GuestControl& control) {
    const MutexLock lock(mutex_);
    control_ = &control;
  };
  run.on_control_over = [this] {
    const MutexLock lock(mutex_);
    control_ = nullptr;
  };
}

void JobWatch::run() {
  MutexLock lock(mutex_);
  auto next_tick = began_ + kTick;
  while (!is_over_) {
    const auto now = Clock::now();
    do_what_is_due(now);
    if (on_tick_ && now >= next_tick) {
      next_tick = now + kTick;
      const auto told = progress(now);
      lock.unlock();
      on_tick_(told);
      lock.lock();
      continue;
    }
    const auto wake = wake_time(now);
    changed_.wait_until(lock, on_tick_ ? std::min(wake, next_tick) : wake);
  }
}

JobWatch::Clock::time_point JobWatch::wake_time(Clock::time_point now) const {
  auto wake = now + kLongestSleep;
  for (const auto& time : {ending_.next(), ending_.has_begun() ? std::nullopt : limits_.next()}) {
    wake = time ? std::min(wake, *time) : wake;
  }
  return wake;
}

/// A guest that is ending anyway is measured by the times of its ending.
void JobWatch::do_what_is_due(Clock::time_point now) {
  const auto limit = ending_.has_begun() ? std::nullopt : limits_.expired(now);
  if (limit) {
    const auto length = *limit == JobLimit::kTimeout        ? limit_lengths_.timeout
                        : *limit == JobLimit::kFirstConsole ? limit_lengths_.first_console
                                                            : limit_lengths_.console;
    log::warn("The limit test.{} of {} is over", limit_name(*limit), duration_text(length));
    fold_.limit_over(*limit, length, std::chrono::system_clock::now());
    ending_.limit_over(now);
  }
  while (const auto step = ending_.due(now)) {
    carry_out(*step);
  }
}

void JobWatch::carry_out(JobEnding::Step step) {
  if (control_ == nullptr) {
    return;  // it has ended
  }
  if (step == JobEnding::Step::kPressPowerButton) {
    log::info("The job is at its end: power button pressed");
    fold_.end_asked(std::chrono::system_clock::now());
    control_->press_power_button(log_refusal("The power button"));
  } else {
    log::info("The job is at its end: the guest is stopped");
    control_->stop(log_refusal("Stopping the guest"));
  }
}

JobProgress JobWatch::progress(Clock::time_point now) const {
  JobProgress told{.state = state_, .is_ready = is_ready_, .is_ending = ending_.has_begun()};
  told.runs_for = ran_ ? duration_cast<milliseconds>(now - *ran_) : milliseconds(0);
  if (last_byte_) {
    told.silent_for = duration_cast<milliseconds>(now - *last_byte_);
  }
  return told;
}

void JobWatch::event(const GuestEvent& event) {
  {
    const MutexLock lock(mutex_);
    const auto now = Clock::now();
    if (const auto* change = std::get_if<StateChange>(&event.what)) {
      state_change(change->to, event, now);
    } else if (const auto* reset = std::get_if<DevicesReset>(&event.what)) {
      if (resets_.size() < kMostResets) {
        resets_.push_back({reset->reason, reset->functions, reset->method, reset->verdict,
                           reset->duration_ms, reset->text});
      }
    } else {
      const auto* word = std::get_if<GuestWord>(&event.what);
      is_ready_ = is_ready_ || (word != nullptr && word->word == "ready");
      ending_.found(fold_.event(event), now);
    }
  }
  changed_.notify_all();
}

void JobWatch::state_change(LifecycleState to, const GuestEvent& event, Clock::time_point now) {
  state_ = to;
  if (to == LifecycleState::kRunning) {
    ran_ = ran_.value_or(now);
    limits_.guest_runs(now);
    return;
  }
  limits_.guest_rests();
  if (to == LifecycleState::kStopping || to == LifecycleState::kFailed) {
    stopped_ = stopped_.value_or(now);
  }
  if (to != LifecycleState::kRebooting) {
    return;
  }
  if (++reboots_ > reboots_allowed_ && !ending_.has_begun()) {
    fold_.too_many_reboots(reboots_, reboots_allowed_, event.time);
    ending_.stop_now(now);
  } else if (ending_.has_begun()) {
    ending_.stop_now(now);  // it has said what it had to say
  }
}

void JobWatch::console(ConsoleSource source, std::span<const std::byte> bytes) {
  const MutexLock console_lock(console_mutex_);
  {
    const MutexLock lock(mutex_);
    const auto now = Clock::now();
    last_byte_ = now;
    limits_.console_output(now);
    ending_.console_output(now);
  }
  lines_.at(static_cast<std::size_t>(source)).add(bytes, std::chrono::system_clock::now());
}

void JobWatch::line(const ConsoleLine& line) {
  if (on_line_) {
    on_line_(line);
  }
  EndingCause cause = EndingCause::kNothing;
  {
    const MutexLock lock(mutex_);
    cause = fold_.console_line(line);
    ending_.found(cause, Clock::now());
  }
  if (cause != EndingCause::kNothing) {
    changed_.notify_all();
  }
}

Verdict JobWatch::verdict(const RunResult& result) {
  {
    const MutexLock console_lock(console_mutex_);
    for (ConsoleLines& lines : lines_) {
      lines.finish();
    }
  }
  const MutexLock lock(mutex_);
  return fold_.verdict(result);
}

std::vector<JobPhase> JobWatch::phases() {
  const MutexLock lock(mutex_);
  const auto now = Clock::now();
  const auto stopped = stopped_.value_or(now);
  const auto length = [](auto from, auto to) { return duration_cast<milliseconds>(to - from); };
  std::vector<JobPhase> phases = {{"start", length(began_, ran_.value_or(stopped))}};
  if (ran_) {
    phases.push_back({"guest", length(*ran_, stopped)});
  }
  phases.push_back({"stop", length(stopped, now)});
  return phases;
}

std::vector<JobReset> JobWatch::resets() {
  const MutexLock lock(mutex_);
  return resets_;
}

}  // namespace gpuvm
