// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/patient_write.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>

#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/signals_blocked.hpp"

namespace gpuvm {
namespace {

using Clock = std::chrono::steady_clock;

/// What a killed child that the kernel lets go needs to be gone, with much to spare.
constexpr std::chrono::milliseconds kDeathLimit{1000};

void close_files(unsigned first, unsigned last) {
  // Linux 5.9; older kernels have the files closed by number.
  if (first <= last && ::syscall(SYS_close_range, first, last, 0U) != 0) {
    for (unsigned fd = first; fd <= std::min(last, 65535U); ++fd) {
      ::close(static_cast<int>(fd));
    }
  }
}

/// In the child of a process with threads: nothing but system calls. Of the parent's files it keeps
/// the one by which it reports errno, so that nobody waits for what it holds.
[[noreturn]] void write_and_report(const char* path, std::string_view text,
                                   std::optional<std::uint64_t> offset, int report) {
  const auto kept = static_cast<unsigned>(report);
  if (kept > 0) {
    close_files(0, kept - 1);
  }
  close_files(kept + 1, ~0U);
  int error = 0;
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    error = errno;
  } else {
    const ssize_t written =
        offset ? ::pwrite(fd, text.data(), text.size(), static_cast<off_t>(*offset))
               : ::write(fd, text.data(), text.size());
    error = written == static_cast<ssize_t>(text.size()) ? 0 : written < 0 ? errno : EIO;
  }
  [[maybe_unused]] const ssize_t reported = ::write(report, &error, sizeof error);
  ::_exit(0);
}

/// True once the pipe has something, or nobody writes to it any more.
bool await(int pipe, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
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
  pid_t child = -1;
  {
    // In the child they would interrupt what cannot be begun again, and handlers are the parent's.
    const SignalsBlocked blocked;
    child = ::fork();
    if (child == 0) {
      write_and_report(path.c_str(), bytes, offset, child_end.get());
    }
  }
  if (child < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot start a process");
  }
  child_end = UniqueFd();
  if (!await(report.get(), limit)) {
    ::kill(child, SIGKILL);
    if (await(report.get(), kDeathLimit)) {
      reap(child);
    } else {
      log::debug("Process {} still writes to {}", child, path);
    }
    return std::optional<int>();
  }
  const auto error = read_report(report.get());
  reap(child);
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
