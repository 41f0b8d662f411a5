// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/patient_write.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>

#include "vmm/base/inherited_files.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/signals_blocked.hpp"

namespace gpuvm {
namespace {

using Clock = std::chrono::steady_clock;

/// What a killed child that the kernel lets go needs to be gone, with much to spare.
constexpr std::chrono::milliseconds kDeathLimit{1000};

/// The kernel kills the calling process then. 0 or errno. System calls alone: what the C library
/// has takes memory.
int die_at(Clock::time_point end) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  int timer = 0;  // as the kernel numbers them
  if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) {
    return errno;
  }
  const auto since_boot = std::max<Clock::duration>(end.time_since_epoch(), Clock::duration(1));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  itimerspec when{};  // of steady_clock, which is CLOCK_MONOTONIC
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = std::chrono::nanoseconds(since_boot - seconds).count();
  return ::syscall(SYS_timer_settime, timer, TIMER_ABSTIME, &when, nullptr) == 0 ? 0 : errno;
}

struct Write {
  const char* path = nullptr;
  std::string_view text = {};
  std::optional<std::uint64_t> offset = {};
};

/// 0 or errno.
int carry_out(const Write& what) {
  const int fd = ::open(what.path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return errno;
  }
  const char* const data = what.text.data();
  const std::size_t size = what.text.size();
  const ssize_t written = what.offset ? ::pwrite(fd, data, size, static_cast<off_t>(*what.offset))
                                      : ::write(fd, data, size);
  return written == static_cast<ssize_t>(size) ? 0 : written < 0 ? errno : EIO;
}

/// In the child of a process with threads: nothing but system calls. Of the parent's files it keeps
/// the one by which it reports errno, so that nobody waits for what it holds. It ends itself when
/// its time is over: the parent's thread may be one that a guest has taken over, and the right to
/// kill(2) is one to kill any process.
[[noreturn]] void write_and_report(const Write& what, Clock::time_point end, int report) {
  close_inherited({&report, 1});
  int error = die_at(end);
  error = error == 0 ? carry_out(what) : error;
  [[maybe_unused]] const ssize_t reported = ::write(report, &error, sizeof error);
  ::_exit(0);
}

/// True once the pipe has something, or nobody writes to it any more.
bool await(int pipe, Clock::time_point end) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    struct pollfd event {
      .fd = pipe, .events = POLLIN, .revents = 0
    };
    const auto wait = std::clamp<std::int64_t>(left.count(), 0, 1'000'000);
    const int ready = ::poll(&event, 1, static_cast<int>(wait));
    if (ready > 0) {
      return true;
    }
    if ((ready == 0 && left.count() <= wait) || (ready < 0 && errno != EINTR)) {
      return false;
    }
  }
}

/// errno of the child; nothing: it died before it could say.
std::optional<int> read_report(int pipe) {
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof error) ? std::optional(error) : std::nullopt;
}

void reap(pid_t child) {
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<std::optional<int>> try_write_patiently(const std::string& path, const std::string& bytes,
                                               std::optional<std::uint64_t> offset,
                                               std::chrono::milliseconds limit) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a pipe");
  }
  const UniqueFd report(ends[0]);
  UniqueFd child_end(ends[1]);
  const auto end = Clock::now() + limit;
  pid_t child = -1;
  {
    // In the child they would interrupt what cannot be begun again, and handlers are the parent's.
    const SignalsBlocked blocked;
    child = ::fork();
    if (child == 0) {
      write_and_report({.path = path.c_str(), .text = bytes, .offset = offset}, end,
                       child_end.get());
    }
  }
  if (child < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot start a process");
  }
  child_end = UniqueFd();
  if (!await(report.get(), end)) {
    if (await(report.get(), end + kDeathLimit)) {
      reap(child);
    } else {
      log::debug("Process {} still writes to {}", child, path);
    }
    return std::optional<int>();
  }
  const auto error = read_report(report.get());
  reap(child);
  if (!error && Clock::now() >= end) {
    return std::optional<int>();  // its own timer was the first to see that the time is over
  }
  if (!error) {
    return fail(ErrorKind::kHost, "The process that writes to {} was killed", path);
  }
  return error;
}

Result<bool> write_patiently(const std::string& path, const std::string& text,
                             std::chrono::milliseconds limit) {
  const auto error = TRY(try_write_patiently(path, text, std::nullopt, limit));
  if (error && *error != 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot write \"{}\" to {}", text, path),
                      *error);
  }
  return error.has_value();
}

}  // namespace gpuvm
