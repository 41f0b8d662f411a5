// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/warm_run.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "vmm/api_client/api_request.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/output_file.hpp"
#include "vmm/first_boot/warm_agent.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/machine/run/event_log.hpp"
#include "vmm/pool/guest_streams.hpp"
#include "vmm/pool/pool_config.hpp"
#include "vmm/pool/warm_lease.hpp"

namespace gpuvm::pool {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kGoTime{60000};      ///< vCPUs go on at once
constexpr std::chrono::seconds kGrace{30};  ///< as a run has it, for a guest to power off
constexpr milliseconds kInspectTime{10000};
constexpr unsigned kOk = 200;
constexpr int kSignalled = 128;

/// SIGINT, SIGTERM and SIGHUP as something to read; let through again at the end, unless the caller
/// holds them.
class EndingSignals {
 public:
  explicit EndingSignals(bool stay_blocked) : stay_blocked_(stay_blocked) {
    sigset_t set{};
    ::sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      ::sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~EndingSignals() {
    if (!stay_blocked_) {
      ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
  }
  EndingSignals(const EndingSignals&) = delete;
  EndingSignals& operator=(const EndingSignals&) = delete;

  int fd() const { return fd_.get(); }
  /// Nothing: none has come.
  std::optional<int> take() const {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof info) == sizeof info
               ? std::optional(static_cast<int>(info.ssi_signo))
               : std::nullopt;
  }

 private:
  const bool stay_blocked_;
  sigset_t before_{};
  UniqueFd fd_;
};

RunResult failed(const Error& error, int signal = 0) {
  RunResult result;
  result.end = RunEnd::kFailed;
  result.exit_status = exit_status(error.kind());
  result.error = error;
  result.signal = signal;
  return result;
}

/// Steers the guest by its lease, as far as a job does.
class LeaseControl : public GuestControl {
 public:
  explicit LeaseControl(const WarmLease& lease) : lease_(lease) {}

  LifecycleState state() const override { return LifecycleState::kRunning; }
  void inspect(InspectNode& node) const override { node.field("name", lease_.guest().name); }
  void press_power_button(Done done) override { say(LeaseWord::Kind::kPressPowerButton, done); }
  void stop(Done done) override { say(LeaseWord::Kind::kStop, done); }
  void reboot(Done done) override { refuse(done); }
  void pause(Done done) override { refuse(done); }
  void resume(Done done) override { refuse(done); }
  void attach(std::string, Done done) override { refuse(done); }
  void detach(std::string, Done done) override { refuse(done); }
  std::uint64_t subscribe(GuestObserver) override { return 0; }
  void unsubscribe(std::uint64_t) override {}

 private:
  /// A job's answers are for its log alone.
  void say(LeaseWord::Kind kind, const Done&) const {
    if (const auto said = lease_.say({.kind = kind}); !said) {
      log::debug("{}", said.error().to_string());
    }
  }
  static void refuse(const Done&) { log::debug("A warm guest is not steered like this"); }

  const WarmLease& lease_;
};

class WarmRunner {
 public:
  WarmRunner(const Config& config, const RunOptions& options, const WarmRun& warm)
      : config_(config),
        options_(options),
        warm_(warm),
        signals_(options.holds_ending_signals),
        events_(config.name) {}

  RunResult run();

 private:
  Status listen();
  Status begin(WarmLease& lease);
  Status plug_in(const WarmLease& lease);
  void write_inspect_file(const WarmLease& lease) const;
  RunResult wait(WarmLease& lease);
  void hear(const MemberWord& word);
  void take_signal(const WarmLease& lease);
  void stop(const WarmLease& lease);
  RunResult result_of(const WarmLease& lease) const;
  RunResult not_taken(const Error& error) const;
  void show(std::span<const std::byte> bytes) const;

  const Config& config_;
  const RunOptions& options_;
  const WarmRun& warm_;
  const EndingSignals signals_;
  std::unique_ptr<EventLog> event_file_;
  GuestEvents events_;
  std::optional<RunResult> ended_;   ///< as the guest's gpuvm said
  std::optional<int> owner_status_;  ///< of the process that gives its devices back
  int signal_ = 0;                   ///< that asked for the end
  bool is_forced_ = false;
  bool is_out_of_order_ = false;  ///< the guest's gpuvm, which may be there still
  std::optional<Clock::time_point> force_at_;
};

Status WarmRunner::listen() {
  if (!options_.event_file.empty()) {
    event_file_ = TRY(EventLog::open(options_.event_file));
    events_.add([file = event_file_.get()](const GuestEvent& event) { file->write(event); });
  }
  for (const GuestObserver& observer : options_.observers) {
    events_.add(observer);
  }
  return {};
}

/// On standard output where the configuration has it there, and to who listens.
void WarmRunner::show(std::span<const std::byte> bytes) const {
  const bool is_shown =
      std::any_of(config_.console.serial.begin(), config_.console.serial.end(),
                  [](const auto& target) { return target.kind == SerialTarget::Kind::kStdio; });
  if (is_shown) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (const auto written = write_output(STDOUT_FILENO, text, "standard output"); !written) {
      log::debug("{}", written.error().to_string());
    }
  }
  if (options_.on_console) {
    options_.on_console(ConsoleSource::kSerial, bytes);
  }
}

/// The guest goes on, and hears what is new for it.
Status WarmRunner::begin(WarmLease& lease) {
  const auto hand_in = TRY(fresh_hand_in(warm_.command, warm_.cards.size()));
  TRY(lease.say({.kind = LeaseWord::Kind::kGo, .words = hand_in_text(hand_in)}));
  const auto word = TRY(lease.await(kGoTime));
  if (word.kind == MemberWord::Kind::kRuns) {
    events_.state({.from = LifecycleState::kPaused, .to = LifecycleState::kRunning});
    return {};
  }
  return word.result.error ? *word.result.error
                           : fail(ErrorKind::kHost, "The warm guest {} ended as it was to go on",
                                  lease.guest().name);
}

Status WarmRunner::plug_in(const WarmLease& lease) {
  if (warm_.give_up_claims) {
    warm_.give_up_claims();
  }
  for (const Bdf card : warm_.cards) {
    const auto began = Clock::now();
    TRY(lease.attach(card.to_string()));
    log::info("{} is plugged into {} after {} ms", card.to_string(), lease.guest().name,
              std::chrono::duration_cast<milliseconds>(Clock::now() - began).count());
  }
  return {};
}

/// Costs nobody his guest.
void WarmRunner::write_inspect_file(const WarmLease& lease) const {
  if (options_.inspect_file.empty()) {
    return;
  }
  const auto written = [&]() -> Status {
    const auto connection = connect_to_guest(lease.guest().socket, kInspectTime);
    const auto answer = TRY(ask(connection.fd, "GET", "/v1/inspect", {.time = kInspectTime}));
    if (answer.status != kOk) {
      return refusal(answer, lease.guest().name);
    }
    return replace_output(options_.inspect_file, answer.body, ErrorKind::kHost);
  }();
  if (!written) {
    log::warn("The state of the machine (inspect): {}", written.error().to_string());
  }
}

void WarmRunner::hear(const MemberWord& word) {
  if (word.kind == MemberWord::Kind::kEnded) {
    ended_ = word.result;
  } else if (word.kind == MemberWord::Kind::kOwner) {
    owner_status_ = word.result.exit_status;
  }
}

void WarmRunner::stop(const WarmLease& lease) {
  is_forced_ = true;
  force_at_.reset();
  if (const auto said = lease.say({.kind = LeaseWord::Kind::kStop}); !said) {
    log::debug("{}", said.error().to_string());
  }
}

void WarmRunner::take_signal(const WarmLease& lease) {
  const auto signal = signals_.take();
  if (!signal) {
    return;
  }
  if (signal_ != 0) {
    stop(lease);
    return;
  }
  signal_ = *signal;
  force_at_ = Clock::now() + kGrace;
  events_.end_asked({.signal = signal_});
  log::info("Signal {}: the guest is asked to power off", signal_);
  if (const auto said = lease.say({.kind = LeaseWord::Kind::kPressPowerButton}); !said) {
    log::debug("{}", said.error().to_string());
  }
}

/// Until the guest's gpuvm is gone: its devices have been given back then.
RunResult WarmRunner::wait(WarmLease& lease) {
  constexpr unsigned kWordsInARow = 16;  // then signals are heard, whoever keeps talking
  unsigned in_a_row = 0;
  while (true) {
    MemberWord word;
    const auto progress = lease.hear(word);
    if (progress == LineReceiver::Progress::kLine) {
      hear(word);
      if (++in_a_row < kWordsInARow) {
        continue;
      }
    } else if (progress != LineReceiver::Progress::kMore) {
      is_out_of_order_ = progress == LineReceiver::Progress::kWrong;
      return result_of(lease);
    }
    std::array<pollfd, 2> waits{};
    waits[0] = {.fd = lease.fd(), .events = POLLIN, .revents = 0};
    waits[1] = {.fd = signals_.fd(), .events = POLLIN, .revents = 0};
    int rest = std::exchange(in_a_row, 0) == kWordsInARow ? 0 : -1;
    if (force_at_ && rest < 0) {
      const auto left = std::chrono::ceil<milliseconds>(*force_at_ - Clock::now());
      rest = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    ::poll(waits.data(), waits.size(), rest);
    if (waits[1].revents != 0) {
      take_signal(lease);
    }
    if (force_at_ && Clock::now() >= *force_at_) {
      stop(lease);
    }
  }
}

RunResult WarmRunner::result_of(const WarmLease& lease) const {
  constexpr int kUnsafe = exit_status(ErrorKind::kUnsafeDevice);
  if (!ended_) {
    return failed(fail(ErrorKind::kHost,
                       "The gpuvm of the warm guest {} (pid {}) ended without a word: see the "
                       "pool's log",
                       lease.guest().name, lease.guest().pid),
                  signal_);
  }
  RunResult result = *ended_;
  result.signal = signal_;
  if (owner_status_ == kUnsafe && !result.error) {
    return failed(fail(ErrorKind::kUnsafeDevice,
                       "A device of the warm guest {} did not come back from its reset: see the "
                       "pool's log",
                       lease.guest().name),
                  signal_);
  }
  if (is_forced_ && result.end == RunEnd::kStopped && !result.error) {
    result.end = RunEnd::kEndedForced;
    result.exit_status = kSignalled + signal_;
  }
  return result;
}

/// There is no guest yet.
RunResult WarmRunner::not_taken(const Error& error) const {
  const auto signal = signals_.take();
  if (!signal) {
    return failed(error);
  }
  RunResult result;
  result.end = RunEnd::kStartBrokenOff;
  result.signal = *signal;
  result.exit_status = kSignalled + *signal;
  return result;
}

RunResult WarmRunner::run() {
  if (const auto listens = listen(); !listens) {
    return failed(listens.error());
  }
  auto taken = WarmLease::take(warm_.pool, machine_text(config_), warm_.limit, signals_.fd());
  if (!taken) {
    return not_taken(taken.error());
  }
  WarmLease& lease = *taken;
  log::info("The warm guest {} is this job's", lease.guest().name);
  const auto since = std::chrono::system_clock::now();
  auto streams = GuestStreams::start(lease.guest().socket, since, events_,
                                     [this](std::span<const std::byte> bytes) { show(bytes); });
  if (!streams) {
    return failed(streams.error());
  }
  LeaseControl control(lease);
  if (options_.on_control) {
    options_.on_control(control);
  }
  Status begun = begin(lease);
  begun = begun ? plug_in(lease) : std::move(begun);
  if (begun) {
    write_inspect_file(lease);
  } else {
    stop(lease);
  }
  RunResult result = wait(lease);
  if (is_out_of_order_) {
    (*streams)->break_off();
  }
  (*streams)->finish();
  if (options_.on_control && options_.on_control_over) {
    options_.on_control_over();
  }
  return begun || (result.error && result.error->kind() == ErrorKind::kUnsafeDevice)
             ? result
             : failed(begun.error(), signal_);
}

}  // namespace

RunResult run_warm(const Config& config, const RunOptions& options, const WarmRun& warm) {
  if (const auto able = check_warm_job(config); !able) {
    return failed(able.error());
  }
  WarmRunner runner(config, options, warm);
  return runner.run();
}

}  // namespace gpuvm::pool
