// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/payloads.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace gpuvm::sandbox {
namespace {

/// The raw call, so that no library does another one in its place.
int outcome_of(long result) {
  return result < 0 ? errno : 0;
}

/// 0, and the descriptor is closed; else errno.
int close_new(long fd) {
  const int outcome = outcome_of(fd);
  if (fd >= 0) {
    ::close(static_cast<int>(fd));
  }
  return outcome;
}

int open_file() {
  return close_new(::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
}
int open_old_way() {
  return close_new(::syscall(SYS_open, "/etc/passwd", O_RDONLY));
}
int create_file() {
  const long fd = ::syscall(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR, 0600);
  return close_new(fd);
}
int open_device() {
  return close_new(::syscall(SYS_openat, AT_FDCWD, "/dev/zero", O_RDWR));
}
int make_network_socket() {
  return close_new(::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
}
int make_local_socket() {
  return close_new(::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
}
int make_netlink_socket() {
  return close_new(::syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0));
}
/// The parent is another process of the same user, and the signal does nothing.
int signal_process() {
  return outcome_of(::syscall(SYS_kill, ::getppid(), 0));
}
int signal_thread_of_process() {
  const pid_t parent = ::getppid();
  return outcome_of(::syscall(SYS_tgkill, parent, parent, 0));
}
/// No process has this number: the kernel looks for it once the call is one of its own.
constexpr long kNobody = 0x3fffffff;
int outcome_for_nobody(long result) {
  const int outcome = outcome_of(result);
  return outcome == ESRCH ? 0 : outcome;
}
int kill_process() {
  return outcome_for_nobody(::syscall(SYS_kill, kNobody, SIGKILL));
}
int limit_process() {
  struct rlimit now {};
  return outcome_for_nobody(::syscall(SYS_prlimit64, kNobody, RLIMIT_NOFILE, 0, &now));
}
int slow_process_down() {
  const struct sched_param parameters {};
  return outcome_for_nobody(::syscall(SYS_sched_setscheduler, kNobody, SCHED_IDLE, &parameters));
}
/// To this process, which changes nothing: it could be any other one of the same user.
int have_descriptor_send_signals() {
  return outcome_of(::syscall(SYS_fcntl, STDERR_FILENO, F_SETOWN, ::getpid()));
}
/// A child that waits to be looked into; whoever may not make one may not trace either.
int trace_process() {
  const pid_t child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child < 0) {
    return outcome_of(::syscall(SYS_ptrace, PTRACE_SEIZE, ::getppid(), 0, 0));
  }
  if (child == 0) {
    ::syscall(SYS_pause);
    ::syscall(SYS_exit_group, 0);
  }
  const int outcome = outcome_of(::syscall(SYS_ptrace, PTRACE_SEIZE, child, 0, 0));
  ::syscall(SYS_kill, child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return outcome;
}
int read_other_memory() {
  std::uint64_t here = 0;
  struct iovec to {
    .iov_base = &here, .iov_len = sizeof here
  };
  const struct iovec from = to;
  return outcome_of(::syscall(SYS_process_vm_readv, ::getpid(), &to, 1UL, &from, 1UL, 0UL));
}
int make_namespace() {
  return outcome_of(::syscall(SYS_unshare, CLONE_NEWUTS));
}
int make_process() {
  const long child = ::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    ::syscall(SYS_exit_group, 0);
  }
  return outcome_of(child);
}
/// That the file is not there is found out by who may run files.
int run_program() {
  std::array<char*, 1> none{nullptr};
  const int outcome =
      outcome_of(::syscall(SYS_execve, "/nonexistent/program", none.data(), none.data()));
  return outcome == ENOENT ? 0 : outcome;
}
int map_executable() {
  constexpr std::size_t kPage = 4096;
  const long at =
      ::syscall(SYS_mmap, 0, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at != -1) {
    ::munmap(reinterpret_cast<void*>(at), kPage);
  }
  return at == -1 ? errno : 0;
}
int make_executable() {
  constexpr std::size_t kPage = 4096;
  void* const at =
      ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int outcome =
      outcome_of(::syscall(SYS_mprotect, at, kPage, PROT_READ | PROT_WRITE | PROT_EXEC));
  ::munmap(at, kPage);
  return outcome;
}
/// FIONREAD of a pipe, which no list has; a kernel that takes no such call says ENOTTY. The pipe
/// was there before, as any descriptor is.
int call_other_control() {
  int waiting = 0;
  const int outcome = outcome_of(::syscall(SYS_ioctl, STDERR_FILENO, FIONREAD, &waiting));
  return outcome == ENOTTY || outcome == EINVAL ? 0 : outcome;
}
int make_ring() {
  std::array<std::uint32_t, 30> parameters{};
  return close_new(::syscall(SYS_io_uring_setup, 1, parameters.data()));
}
int change_filter() {
  int value = 0;
  return outcome_of(::syscall(SYS_prctl, 15 /* PR_SET_NAME */, "hostile", value, 0, 0));
}
int take_handler_away() {
  struct sigaction now {};
  return outcome_of(::syscall(SYS_rt_sigaction, SIGSYS, 0, &now, 8));
}

constexpr std::array kPayloads{
    Payload{"open a file", open_file},
    Payload{"open a file by the old call", open_old_way},
    Payload{"create a file", create_file},
    Payload{"open a device", open_device},
    Payload{"make a network socket", make_network_socket},
    Payload{"make a local socket", make_local_socket},
    Payload{"make a netlink socket", make_netlink_socket},
    Payload{"signal another process", signal_process},
    Payload{"signal a thread of another process", signal_thread_of_process},
    Payload{"kill another process", kill_process},
    Payload{"limit another process", limit_process},
    Payload{"slow another process down", slow_process_down},
    Payload{"have a descriptor send signals", have_descriptor_send_signals},
    Payload{"trace another process", trace_process},
    Payload{"read memory by process_vm_readv", read_other_memory},
    Payload{"make a namespace", make_namespace},
    Payload{"make a process", make_process},
    Payload{"run a program", run_program},
    Payload{"map executable memory", map_executable},
    Payload{"make memory executable", make_executable},
    Payload{"another ioctl", call_other_control},
    Payload{"make a ring of io_uring", make_ring},
    Payload{"prctl", change_filter},
    Payload{"look at the handler of SIGSYS", take_handler_away},
};

}  // namespace

std::span<const Payload> payloads() {
  return kPayloads;
}

}  // namespace gpuvm::sandbox
