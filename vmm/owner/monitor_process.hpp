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

/// From now on children of this process's children that outlive them are its own (prctl(2),
/// PR_SET_CHILD_SUBREAPER): a monitor that is killed may leave one that writes to sysfs for it.
void adopt_orphans();
/// Waits until there is no child any more, at most this long. False: one is left.
bool await_orphans(std::chrono::milliseconds limit);

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
