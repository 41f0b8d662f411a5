// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/terminal_mode.hpp"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace gpuvm {

namespace {

enum class Typed { kKept, kDiscarded };

/// A process in the background is stopped by SIGTTOU for these calls, unless the signal is blocked.
/// Not TCSAFLUSH, which discards what was typed, too: it waits until the terminal has taken all
/// output, which one that is stopped never does.
bool set_attributes(int fd, const termios& attributes, Typed typed) {
  sigset_t stop;
  sigset_t before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &stop, &before);
  const bool done = ::tcsetattr(fd, TCSANOW, &attributes) == 0;
  if (typed == Typed::kDiscarded) {
    ::tcflush(fd, TCIFLUSH);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return done;
}

}  // namespace

std::optional<TerminalMode> TerminalMode::make_raw(int fd) {
  termios saved{};
  if (::tcgetattr(fd, &saved) != 0) {
    return std::nullopt;
  }
  termios raw = saved;
  ::cfmakeraw(&raw);
  raw.c_oflag = saved.c_oflag;
  if (!set_attributes(fd, raw, Typed::kKept)) {
    return std::nullopt;
  }
  return TerminalMode(fd, saved);
}

TerminalMode::TerminalMode(TerminalMode&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), saved_(other.saved_) {}

TerminalMode& TerminalMode::operator=(TerminalMode&& other) noexcept {
  if (this != &other) {
    restore();
    fd_ = std::exchange(other.fd_, -1);
    saved_ = other.saved_;
  }
  return *this;
}

void TerminalMode::restore() {
  if (fd_ >= 0) {
    set_attributes(fd_, saved_, Typed::kDiscarded);
    fd_ = -1;
  }
}

}  // namespace gpuvm
