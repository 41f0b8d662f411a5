// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/children.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "vmm/base/inherited_files.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm::pool {
namespace {

/// By which a service manager would take a guest for the service.
constexpr std::array kServiceVariables{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
                                       "LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES"};

void read_nothing() {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::dup2(null.get(), STDIN_FILENO);
}

/// The child's life. What was the parent's is left as it is: nothing of it is destroyed here.
[[noreturn]] void live(std::vector<int> kept, const sigset_t& unblocked, int lease,
                       const std::function<int(UniqueFd)>& run) {
  kept.push_back(lease);
  close_inherited(kept);
  read_nothing();
  ::setpgid(0, 0);  // Ctrl-C is the pool's
  for (const char* const name : kServiceVariables) {
    ::unsetenv(name);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
  int status = exit_status(ErrorKind::kInternal);
  try {
    status = run(UniqueFd(lease));
  } catch (const std::exception& error) {
    log::error("A guest of the pool: {}", error.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

struct Lease {
  UniqueFd pool;
  UniqueFd guest;  ///< does not block
};

Result<Lease> make_lease() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a lease for a guest");
  }
  Lease lease{.pool = UniqueFd(ends[0]), .guest = UniqueFd(ends[1])};
  ::fcntl(lease.guest.get(), F_SETFL, O_NONBLOCK);
  return lease;
}

}  // namespace

Result<std::vector<int>> open_descriptors() {
  std::vector<int> found;
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) {
    return fail_errno(ErrorKind::kHost,
                      "Cannot read /proc/self/fd, which has this process's files");
  }
  while (const dirent* const entry = ::readdir(folder)) {
    char* end = nullptr;
    const long number = std::strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && *end == '\0' && number != ::dirfd(folder)) {
      found.push_back(static_cast<int>(number));
    }
  }
  ::closedir(folder);
  return found;
}

Result<Child> start_child(const std::vector<int>& kept, const sigset_t& unblocked,
                          const std::function<int(UniqueFd)>& run) {
  auto lease = TRY(make_lease());
  std::fflush(nullptr);  // what is buffered would be written twice
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a process for a guest");
  }
  if (pid == 0) {
    live(kept, unblocked, lease.guest.release(), run);
  }
  Child child;
  child.pid = pid;
  child.process.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  child.lease = std::move(lease.pool);
  if (!child.process) {
    auto error = fail_errno(ErrorKind::kHost, "Cannot watch a guest's process");
    child.lease.reset();  // by which it ends
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  return child;
}

std::string reap(const Child& child) {
  int how = 0;
  while (::waitpid(child.pid, &how, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(how) ? fmt::format("signal {}", WTERMSIG(how))
                          : fmt::format("exit status {}", WEXITSTATUS(how));
}

}  // namespace gpuvm::pool
