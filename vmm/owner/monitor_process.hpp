// SPDX-License-Identifier: Apache-2.0
// MonitorProcess: the monitor as its owner sees it: a child that gets the owner's signals, can be
// killed, and ends; and what the owner keeps of the terminal meanwhile.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <termios.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// How a monitor ended.
struct MonitorEnd {
  int exit_status = 0;   ///< as a shell has it: 128 and the signal for one that was killed
  std::string how = {};  ///< "signal 11 (Segmentation fault)"; empty: it exited
};
/// Of a status as waitpid(2) has it.
MonitorEnd monitor_end_of(int wait_status);

/// One thread.
class MonitorProcess {
 public:
  /// A child that this process has just made. Errors: kHost, and then the child is killed.
  static Result<MonitorProcess> watch(pid_t pid);

  pid_t pid() const { return pid_; }
  /// Readable (poll(2)) once it has ended with all its threads.
  int fd() const { return process_.get(); }
  /// Nothing where it has ended.
  void signal(int number) const;
  /// Waits for its end, which fd() has shown.
  MonitorEnd reap() const;

 private:
  MonitorProcess(pid_t pid, UniqueFd process) : pid_(pid), process_(std::move(process)) {}
  pid_t pid_;
  UniqueFd process_;  ///< pidfd_open(2)
};

/// Processes that outlive who made them: the monitor, or a program that ran for the guest. From the
/// making of this on they become children of this process (prctl(2), PR_SET_CHILD_SUBREAPER); those
/// that it has already are somebody else's (a script's that ran gpuvm by exec), and so may be what
/// these leave. Where the kernel lists no children (CONFIG_PROC_CHILDREN) there are none. For the
/// thread that makes it, which must be the process's first.
class Orphans {
 public:
  Orphans();

  /// Waits until there is none any more, at most this long. False: one is left.
  bool await(std::chrono::milliseconds limit) const;
  /// Kills them, and those that become orphans by that, and waits for their ends, 2 s at most.
  /// False: one sleeps in the kernel, or they cannot be told from somebody else's.
  bool kill() const;
  /// Both, with words: a program that a guest has taken over outlives who made it if it wants to,
  /// and may have files of it.
  void end(std::chrono::milliseconds limit) const;

 private:
  std::vector<pid_t> left() const;

  const std::vector<pid_t> others_;
};

/// Of a process without an owner: ends its orphans when it goes.
class OrphanGuard {
 public:
  OrphanGuard() = default;
  ~OrphanGuard();
  OrphanGuard(const OrphanGuard&) = delete;
  OrphanGuard& operator=(const OrphanGuard&) = delete;

 private:
  const Orphans orphans_;
};

/// The signals that an owner passes on, and that wait for it from its making on.
class OwnerSignals {
 public:
  /// Blocks them in the calling thread. Errors: kHost.
  static Result<OwnerSignals> take();

  int fd() const { return fd_.get(); }
  /// Sends on what has come. True: among it was one that a monitor ends for, whatever its guest
  /// does: SIGTERM, SIGINT, or machinectl's. (SIGHUP may be ignored.)
  bool pass_on(const MonitorProcess& monitor) const;
  /// For the monitor's process: as they were before take().
  void give_up() const;

 private:
  OwnerSignals(UniqueFd fd, const sigset_t& before) : fd_(std::move(fd)), before_(before) {}
  UniqueFd fd_;
  sigset_t before_;
};

/// Standard input's terminal as it is now; restore() puts it back where this process is in its
/// foreground: for a monitor that could not.
class TerminalMemory {
 public:
  TerminalMemory();
  void restore() const;

 private:
  std::optional<termios> saved_;
};

}  // namespace gpuvm
