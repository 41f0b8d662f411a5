// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/monitor_process.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// Those of the calling thread that were not waited for.
std::vector<pid_t> own_children() {
  std::ifstream list(fmt::format("/proc/self/task/{}/children", ::gettid()));
  std::vector<pid_t> children;
  for (pid_t child = 0; list >> child;) {
    children.push_back(child);
  }
  return children;
}

}  // namespace

MonitorEnd monitor_end_of(int wait_status) {
  MonitorEnd end;
  if (WIFEXITED(wait_status)) {
    end.exit_status = WEXITSTATUS(wait_status);
    return end;
  }
  const int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  const char* const name = ::sigdescr_np(number);
  end.exit_status = 128 + number;
  end.how = fmt::format("signal {} ({})", number, name == nullptr ? "unknown" : name);
  return end;
}

Result<MonitorProcess> MonitorProcess::watch(pid_t pid) {
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) {
    auto error = fail_errno(ErrorKind::kHost, "Cannot watch the monitor's process");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  return MonitorProcess(pid, std::move(process));
}

void MonitorProcess::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, process_.get(), number, nullptr, 0U);
}

MonitorEnd MonitorProcess::reap() const {
  int status = 0;
  pid_t waited = 0;
  while ((waited = ::waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  if (waited != pid_) {
    return {.exit_status = exit_status(ErrorKind::kInternal), .how = "a way that nobody knows"};
  }
  return monitor_end_of(status);
}

Orphans::Orphans() : others_(own_children()) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/// Waits for those that have ended. No number is another process's: nobody else waits for them.
std::vector<pid_t> Orphans::left() const {
  auto children = own_children();
  std::erase_if(children, [this](pid_t child) {
    return std::find(others_.begin(), others_.end(), child) != others_.end() ||
           ::waitpid(child, nullptr, WNOHANG) != 0;
  });
  return children;
}

bool Orphans::await(std::chrono::milliseconds limit) const {
  constexpr std::chrono::milliseconds kPause{10};
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!left().empty()) {
    if (std::chrono::steady_clock::now() >= end) {
      return false;
    }
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

bool Orphans::kill() const {
  if (!others_.empty()) {
    return false;
  }
  constexpr std::chrono::milliseconds kDeathLimit{2000};
  constexpr std::chrono::milliseconds kTurn{20};
  const auto end = std::chrono::steady_clock::now() + kDeathLimit;
  do {
    for (const pid_t orphan : left()) {
      ::kill(orphan, SIGKILL);
    }
    if (await(kTurn)) {
      return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

void Orphans::end(std::chrono::milliseconds limit) const {
  if (await(limit)) {
    return;
  }
  log::warn("A process that was made for the guest has not ended within {} ms, and is killed",
            limit.count());
  if (!kill()) {
    log::warn("A process that was made for the guest is still there: {}",
              others_.empty() ? "it sleeps in the kernel"
                              : "it may be one of who started gpuvm by exec, and is left alone");
  }
}

OrphanGuard::~OrphanGuard() {
  constexpr std::chrono::milliseconds kPatience{500};
  orphans_.end(kPatience);
}

Result<OwnerSignals> OwnerSignals::take() {
  // SIGRTMIN + 4: machinectl poweroff (systemd(1)).
  const std::array numbers{SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                           SIGABRT, SIGUSR1, SIGUSR2, SIGRTMIN + 4};
  sigset_t set{};
  ::sigemptyset(&set);
  for (const int number : numbers) {
    ::sigaddset(&set, number);
  }
  sigset_t before{};
  ::pthread_sigmask(SIG_BLOCK, &set, &before);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    auto error = fail_errno(ErrorKind::kHost, "Cannot take signals");
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return error;
  }
  return OwnerSignals(std::move(fd), before);
}

bool OwnerSignals::pass_on(const MonitorProcess& monitor) const {
  constexpr int kMostSignals = 16;
  signalfd_siginfo info{};
  bool is_end = false;
  for (int turn = 0; turn < kMostSignals; ++turn) {
    if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) {
      break;
    }
    const int number = static_cast<int>(info.ssi_signo);
    is_end = is_end || number == SIGTERM || number == SIGINT || number == SIGRTMIN + 4;
    monitor.signal(number);
  }
  return is_end;
}

void OwnerSignals::give_up() const {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

TerminalMemory::TerminalMemory() {
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) == 0) {
    saved_ = now;
  }
}

void TerminalMemory::restore() const {
  if (saved_ && ::tcgetpgrp(STDIN_FILENO) == ::getpgrp()) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
  }
}

}  // namespace gpuvm
