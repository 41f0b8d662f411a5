// SPDX-License-Identifier: Apache-2.0
// JobWatch: stands beside one run of a job's guest. It hears all that happens and all that the
// guest prints, folds it (vmm/verdict), keeps the limits of time, and once there is a word that
// decides brings the guest to its end: one thread, which sleeps until the next of these times.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/machine/run/run.hpp"
#include "vmm/verdict/job_ending.hpp"
#include "vmm/verdict/job_report.hpp"
#include "vmm/verdict/verdict_fold.hpp"

namespace gpuvm {

/// What a job is doing, for a person who waits.
struct JobProgress {
  LifecycleState state = LifecycleState::kCreated;
  bool is_ready = false;  ///< the guest has said so
  bool is_ending = false;
  std::chrono::milliseconds runs_for{0};  ///< since the guest's first instruction
  std::optional<std::chrono::milliseconds> silent_for = {};  ///< since its last byte
};

class JobWatch {
 public:
  struct Options {
    VerdictFold fold = {};
    JobLimits limits = {};
    EndingTimes ending = {};
    unsigned reboots = 0;  ///< that the guest may do
    /// Called with each line of the console, one at a time, from the thread that prints.
    std::function<void(const ConsoleLine&)> on_line = {};
    /// Called once a second by the watch's own thread; may be empty.
    std::function<void(const JobProgress&)> on_tick = {};
  };
  /// Errors: kHost: no more threads.
  static Result<std::unique_ptr<JobWatch>> start(Options options);
  ~JobWatch();
  JobWatch(const JobWatch&) = delete;
  JobWatch& operator=(const JobWatch&) = delete;

  /// Adds what this wants to hear. The run must end before this does.
  void listen(RunOptions& run);

  // After the run.

  /// Takes what the guest printed last as a line, too.
  Verdict verdict(const RunResult& result) GPUVM_EXCLUDES(console_mutex_, mutex_);
  /// How long it took to start, to run and to stop, for those that it came to.
  std::vector<JobPhase> phases() GPUVM_EXCLUDES(mutex_);
  /// The first kMostResets of them.
  std::vector<JobReset> resets() GPUVM_EXCLUDES(mutex_);
  static constexpr std::size_t kMostResets = 1000;

 private:
  using Clock = std::chrono::steady_clock;

  explicit JobWatch(Options options);
  void run() GPUVM_EXCLUDES(mutex_);
  void do_what_is_due(Clock::time_point now) GPUVM_REQUIRES(mutex_);
  void carry_out(JobEnding::Step step) GPUVM_REQUIRES(mutex_);
  Clock::time_point wake_time(Clock::time_point now) const GPUVM_REQUIRES(mutex_);
  JobProgress progress(Clock::time_point now) const GPUVM_REQUIRES(mutex_);
  void event(const GuestEvent& event) GPUVM_EXCLUDES(mutex_);
  void state_change(LifecycleState to, const GuestEvent& event, Clock::time_point now)
      GPUVM_REQUIRES(mutex_);
  void console(ConsoleSource source, std::span<const std::byte> bytes)
      GPUVM_EXCLUDES(console_mutex_, mutex_);
  void line(const ConsoleLine& line) GPUVM_EXCLUDES(mutex_);

  const unsigned reboots_allowed_;
  const JobLimits limit_lengths_;
  const std::function<void(const ConsoleLine&)> on_line_;
  const std::function<void(const JobProgress&)> on_tick_;

  Mutex console_mutex_;  ///< taken before mutex_
  std::array<ConsoleLines, 2> lines_ GPUVM_GUARDED_BY(console_mutex_);

  Mutex mutex_;
  Condition changed_;
  VerdictFold fold_ GPUVM_GUARDED_BY(mutex_);
  LimitClock limits_ GPUVM_GUARDED_BY(mutex_);
  JobEnding ending_ GPUVM_GUARDED_BY(mutex_);
  GuestControl* control_ GPUVM_GUARDED_BY(mutex_) = nullptr;  ///< while there is one
  LifecycleState state_ GPUVM_GUARDED_BY(mutex_) = LifecycleState::kCreated;
  bool is_ready_ GPUVM_GUARDED_BY(mutex_) = false;
  std::uint64_t reboots_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::vector<JobReset> resets_ GPUVM_GUARDED_BY(mutex_);
  const Clock::time_point began_;
  std::optional<Clock::time_point> ran_ GPUVM_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> stopped_ GPUVM_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> last_byte_ GPUVM_GUARDED_BY(mutex_);
  bool is_over_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm
