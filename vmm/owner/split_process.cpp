// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/split_process.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <string>
#include <utility>

#include "vmm/base/async.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/run_process.hpp"
#include "vmm/owner/journal_relay.hpp"
#include "vmm/owner/monitor_process.hpp"
#include "vmm/owner/notify_relay.hpp"
#include "vmm/owner/owner_client.hpp"
#include "vmm/owner/owner_server.hpp"
#include "vmm/owner/owner_socket.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

/// How often the service manager is asked for more time while devices are given back, and for how
/// much each time.
constexpr std::chrono::seconds kAskEvery{15};
constexpr std::string_view kMoreTime = "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1";
/// A killed process of a guest with much memory takes its time; what takes longer hangs in the
/// kernel.
constexpr milliseconds kSlowEnd{20000};
/// What a monitor's children may take that write to sysfs, as long as no driver sleeps there.
constexpr milliseconds kOrphanTime{10000};

/// By which the monitor reaches others than its owner, as far as there are such.
struct Relays {
  std::optional<NotifyRelay> notify;
  std::optional<JournalRelay> journal;
};

/// The owner, from the fork to the monitor's end.
class OwnerLoop {
 public:
  OwnerLoop(const OwnerSide& side, const MonitorProcess& monitor, const OwnerSignals& signals,
            OwnerServer server, Relays relays)
      : side_(side),
        monitor_(monitor),
        signals_(signals),
        server_(std::move(server)),
        relay_(std::move(relays.notify)),
        journal_(std::move(relays.journal)) {}

  MonitorEnd run();
  void settle();
  Result<int> end(const MonitorEnd& monitor);

 private:
  bool turn();
  void serve();
  void kill_monitor();
  void begin_end();
  void end_patience();
  milliseconds patience(milliseconds rest) const;
  Status work(const std::function<Status()>& what) const;
  void hear_last_words();
  void stop_hearing();
  Status give_back(pid_t killed);

  const OwnerSide& side_;
  const MonitorProcess& monitor_;
  const OwnerSignals& signals_;
  OwnerServer server_;
  std::optional<NotifyRelay> relay_;
  std::optional<JournalRelay> journal_;
  bool is_serving_ = true;
  bool is_killed_ = false;  ///< by us
  bool is_slow_told_ = false;
  std::optional<std::chrono::steady_clock::time_point> latest_end_;  ///< once it was asked to end
};

void OwnerLoop::kill_monitor() {
  is_killed_ = true;
  monitor_.signal(SIGKILL);
}

void OwnerLoop::serve() {
  switch (server_.serve()) {
    case OwnerServer::Outcome::kServed:
    case OwnerServer::Outcome::kNothing:
      break;
    case OwnerServer::Outcome::kClosed:
      is_serving_ = false;
      break;
    case OwnerServer::Outcome::kViolation:
      is_serving_ = false;
      log::error("The monitor has sent its owner {}, which no monitor of ours does: it is killed",
                 server_.violation());
      kill_monitor();
      break;
  }
}

/// The service manager is told, or it would kill the owner, too, and nobody gave devices back.
void OwnerLoop::begin_end() {
  if (latest_end_) {
    return;
  }
  latest_end_ = std::chrono::steady_clock::now() + side_.longest_end;
  if (relay_) {
    const std::chrono::microseconds told = side_.longest_end + kAskEvery;
    relay_->say(fmt::format("EXTEND_TIMEOUT_USEC={}", told.count()));
  }
}

void OwnerLoop::end_patience() {
  if (!latest_end_ || is_killed_ || std::chrono::steady_clock::now() < *latest_end_) {
    return;
  }
  is_serving_ = false;
  log::error("The monitor, process {}, was asked to end {} s ago and has not: it is killed",
             monitor_.pid(),
             std::chrono::duration_cast<std::chrono::seconds>(side_.longest_end).count());
  kill_monitor();
}

/// -1: for ever.
milliseconds OwnerLoop::patience(milliseconds rest) const {
  if (is_serving_ && rest.count() > 0) {
    return rest;
  }
  if (is_killed_) {
    return is_slow_told_ ? milliseconds(-1) : kSlowEnd;
  }
  if (!latest_end_) {
    return milliseconds(-1);
  }
  const auto left = *latest_end_ - std::chrono::steady_clock::now();
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(left));
}

/// False: the monitor has ended.
bool OwnerLoop::turn() {
  const milliseconds rest = is_serving_ ? server_.rest() : milliseconds(0);
  std::array<pollfd, 5> waits{};
  waits[0] = {.fd = monitor_.fd(), .events = POLLIN, .revents = 0};
  waits[1] = {.fd = signals_.fd(), .events = POLLIN, .revents = 0};
  waits[2] = {.fd = relay_ ? relay_->fd() : -1, .events = POLLIN, .revents = 0};
  const bool listens = is_serving_ && rest.count() == 0;
  waits[3] = {.fd = listens ? server_.fd() : -1, .events = POLLIN, .revents = 0};
  waits[4] = {.fd = journal_ ? journal_->fd() : -1, .events = POLLIN, .revents = 0};
  const int ready = ::poll(waits.data(), waits.size(), static_cast<int>(patience(rest).count()));
  if (ready == 0 && is_killed_ && !is_slow_told_ && !is_serving_) {
    is_slow_told_ = true;
    log::warn(
        "The monitor, process {}, was killed and still sleeps in the kernel: its devices "
        "are given back when it is gone",
        monitor_.pid());
  }
  end_patience();
  if (ready <= 0) {
    return true;
  }
  if (waits[1].revents != 0 && signals_.pass_on(monitor_)) {
    begin_end();
  }
  if (waits[2].revents != 0) {
    relay_->pass_on(monitor_.pid());
  }
  if (waits[4].revents != 0) {
    journal_->pass_on(monitor_.pid());
  }
  if (waits[0].revents != 0) {
    return false;
  }
  if (waits[3].revents != 0) {
    serve();
  }
  return true;
}

void OwnerLoop::hear_last_words() {
  if (relay_) {
    relay_->pass_on(monitor_.pid());
  }
  constexpr int kMostTurns = 64;  // of lines that fit into the socket
  for (int turn = 0; journal_ && journal_->fd() >= 0 && turn < kMostTurns; ++turn) {
    journal_->pass_on(monitor_.pid());
  }
}

/// A descriptor that a hostile monitor has sent, and that nobody has taken, is open as long as the
/// socket to which it came.
void OwnerLoop::stop_hearing() {
  is_serving_ = false;
  server_.stop();
  if (relay_) {
    relay_->stop();
  }
  if (journal_) {
    journal_->stop();
  }
}

MonitorEnd OwnerLoop::run() {
  while (turn()) {
  }
  hear_last_words();
  stop_hearing();
  return monitor_.reap();
}

/// On a thread of its own; meanwhile the service manager is kept patient.
Status OwnerLoop::work(const std::function<Status()>& what) const {
  auto done = start_async(std::launch::async, what);
  while (done.wait_for(kAskEvery) == std::future_status::timeout) {
    if (relay_) {
      relay_->say(kMoreTime);
    }
  }
  return done.get();
}

void OwnerLoop::settle() {
  if (side_.settle) {
    const Status settled = work([this]() -> Status {
      side_.settle();
      return {};
    });
    static_cast<void>(settled);  // what came of it is give_back()'s to tell
  }
}

Status OwnerLoop::give_back(pid_t killed) {
  if (!side_.give_back) {
    return {};
  }
  if (relay_) {
    relay_->say(fmt::format("STOPPING=1\nSTATUS=Giving devices back\n{}", kMoreTime));
  }
  return work([this, killed] { return side_.give_back(killed); });
}

Result<int> OwnerLoop::end(const MonitorEnd& monitor) {
  int status = monitor.exit_status;
  if (is_killed_) {
    status = side_.status_of_killed.value_or(exit_status(ErrorKind::kInternal));
  } else if (!monitor.how.empty()) {
    status = side_.status_of_killed.value_or(status);
    log::error("The monitor, process {}, was ended by {}: its owner gives back what it had",
               monitor_.pid(), monitor.how);
  }
  const Status back = give_back(monitor.how.empty() ? 0 : monitor_.pid());
  const auto told = !back && back.error().kind() == ErrorKind::kUnsafeDevice
                        ? side_.status_of_unsafe
                        : side_.status_of_killed;  // a job's: gpuvm failed, and not the guest
  const bool decides = !back && (status == 0 || back.error().kind() == ErrorKind::kUnsafeDevice);
  if (decides && !told) {
    return back.error();
  }
  if (!back) {
    log::error("{}", back.error().to_string());
  }
  return decides ? *told : status;
}

/// What a process of its own must know of its place.
void enter_monitor(Relays& relays, pid_t owner) {
  set_run_process(owner);
  if (relays.notify) {
    ::setenv("NOTIFY_SOCKET", relays.notify->hand_to_monitor().c_str(), 1);
  }
  if (relays.journal) {
    log::use_journal_by(relays.journal->take_monitor_end());
  }
  if (std::getenv("WATCHDOG_PID") != nullptr) {
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  }
}

Result<SplitProcess> be_owner(const OwnerSide& side, pid_t child, const OwnerSignals& signals,
                              UniqueFd socket, Relays relays, const Orphans& orphans) {
  const TerminalMemory terminal;
  if (!side.is_dumpable) {
    ::prctl(PR_SET_DUMPABLE, 0);
  }
  const auto monitor = TRY(MonitorProcess::watch(child));
  OwnerLoop loop(
      side, monitor, signals,
      OwnerServer(
          side.duties, std::move(socket), [] { return OwnerServer::Clock::now(); }, side.cards),
      std::move(relays));
  const MonitorEnd end = loop.run();
  if (!end.how.empty()) {
    terminal.restore();
  }
  loop.settle();  // or its children would be taken for the monitor's
  orphans.end(kOrphanTime);
  SplitProcess split;
  split.exit_status = TRY(loop.end(end));
  return split;
}

}  // namespace

SplitProcess SplitProcess::none() {
  SplitProcess one;
  one.orphans = std::make_unique<OrphanGuard>();
  return one;
}

void follow_owner() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

Result<SplitProcess> split_process(const OwnerSide& side) {
  Relays relays;
  if (side.notify) {
    relays.notify = TRY(NotifyRelay::create(side.notify));
  }
  if (side.journal) {
    relays.journal = TRY(JournalRelay::create(side.journal, side.voice));
  }
  auto sockets = TRY(owner::SocketPair::create());
  const auto signals = TRY(OwnerSignals::take());
  ::signal(SIGCHLD, SIG_DFL);  // or nobody hears how the monitor ended
  std::fflush(nullptr);        // what is buffered would be written twice
  const Orphans orphans;       // before the monitor, which is none
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    auto error = fail_errno(ErrorKind::kHost, "Cannot make a process for the monitor");
    signals.give_up();
    return error;
  }
  if (child > 0) {
    sockets.monitor.reset();
    if (relays.notify) {
      relays.notify->close_monitor_end();
    }
    if (relays.journal) {
      relays.journal->take_monitor_end().reset();
    }
    return be_owner(side, child, signals, std::move(sockets.owner), std::move(relays), orphans);
  }
  sockets.owner.reset();
  follow_owner();
  if (::getppid() != parent) {
    ::_exit(exit_status(ErrorKind::kInternal));
  }
  enter_monitor(relays, parent);
  signals.give_up();
  SplitProcess split;
  split.monitor = std::make_unique<OwnerClient>(std::move(sockets.monitor));
  return split;
}

}  // namespace gpuvm
