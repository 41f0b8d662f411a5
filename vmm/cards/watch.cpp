// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/watch.hpp"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "vmm/cards/queue.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm {
namespace {

bool is_worth_a_look(std::uint32_t what, std::string_view name, const QueueWatch::Of& of) {
  if ((what & IN_Q_OVERFLOW) != 0) {
    return true;
  }
  if (const auto ticket = ticket_number(name)) {
    return std::find(of.tickets.begin(), of.tickets.end(), *ticket) != of.tickets.end();
  }
  return of.claims && (what & (IN_DELETE | IN_CLOSE_WRITE)) != 0 && name.ends_with(kClaimSuffix);
}

int left_until(QueueWatch::Clock::time_point until) {
  constexpr std::int64_t kLongest = 3600 * 1000;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(until - QueueWatch::Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, kLongest));
}

}  // namespace

EndSignals::EndSignals() {
  struct sigaction hangup {};
  ::sigemptyset(&set_);
  ::sigaddset(&set_, SIGINT);
  ::sigaddset(&set_, SIGTERM);
  if (::sigaction(SIGHUP, nullptr, &hangup) != 0 || hangup.sa_handler != SIG_IGN) {
    ::sigaddset(&set_, SIGHUP);  // nohup(1) ignores it
  }
  ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
}

EndSignals::~EndSignals() {
  if (!is_left_) {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
}

Result<QueueWatch> QueueWatch::create(const HostSystem& host, const EndSignals& signals) {
  const std::string folder = host.path(kStateDirectory);
  UniqueFd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes || ::inotify_add_watch(changes.get(), folder.c_str(),
                                      IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY | IN_ONLYDIR) < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot watch " + folder);
  }
  UniqueFd signal(::signalfd(-1, &signals.set(), SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal) {
    return fail_errno(ErrorKind::kHost, "Cannot wait for signals");
  }
  return QueueWatch(std::move(changes), std::move(signal));
}

/// Or until something else wakes it: who calls looks what there is.
void QueueWatch::wait_for_input(Clock::time_point until, bool with_changes) {
  std::array<struct pollfd, 2> events{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                       {.fd = changes_.get(), .events = POLLIN, .revents = 0}}};
  ::poll(events.data(), with_changes ? 2 : 1, left_until(until));
}

bool QueueWatch::has_changed(const Of& of) {
  alignas(struct inotify_event) std::array<char, 16 << 10> bytes;
  bool is_change = false;
  for (ssize_t got = 0; (got = ::read(changes_.get(), bytes.data(), bytes.size())) > 0;) {
    const auto size = static_cast<std::size_t>(got);
    for (std::size_t at = 0; at + sizeof(struct inotify_event) <= size;) {
      struct inotify_event event {};
      std::memcpy(&event, bytes.data() + at, sizeof event);
      at += sizeof event;
      const std::size_t room = std::min<std::size_t>(event.len, size - at);
      const std::string_view name(bytes.data() + at, ::strnlen(bytes.data() + at, room));
      is_change = is_change || is_worth_a_look(event.mask, name, of);
      at += room;
    }
  }
  return is_change;
}

bool QueueWatch::is_signalled() {
  struct signalfd_siginfo info {};
  if (!signal_ && ::read(signals_.get(), &info, sizeof info) == sizeof info) {
    signal_ = static_cast<int>(info.ssi_signo);
  }
  return signal_.has_value();
}

QueueWatch::Why QueueWatch::wait(Clock::time_point until, const Of& of) {
  for (;;) {
    if (is_signalled()) {
      return Why::kSignal;
    }
    if (has_changed(of)) {
      return Why::kChange;
    }
    if (Clock::now() >= until) {
      return Why::kTime;
    }
    wait_for_input(until, true);
  }
}

QueueWatch::Why QueueWatch::rest(std::chrono::milliseconds time) {
  const auto until = Clock::now() + time;
  while (!is_signalled() && Clock::now() < until) {
    wait_for_input(until, false);
  }
  has_changed({});  // takes them
  return signal_ ? Why::kSignal : Why::kTime;
}

}  // namespace gpuvm
