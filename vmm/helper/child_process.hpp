// SPDX-License-Identifier: Apache-2.0
// ChildProcess: a program that stays in the foreground as long as the guest needs it. A thread of
// its own starts it, reads what it prints, and notices its end; the program is killed when that
// thread goes, and so with gpuvm, also a killed one (prctl(2), PR_SET_PDEATHSIG, which is the
// thread's and not the process's).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/helper/program.hpp"

namespace gpuvm {

class ChildProcess {
 public:
  struct Options {
    Program program;  ///< files may be closed when start() has returned
    /// Told once if it ends by itself, on the thread that watches; not once stop() has been called.
    /// May be empty.
    std::function<void(const Error&)> on_end = {};
    /// What it has after SIGTERM, which lets it write what it has in memory, before SIGKILL.
    std::chrono::milliseconds patience{5000};
    /// Called so often while it runs, on the thread that watches, with its process id; both or
    /// none.
    std::chrono::milliseconds look_every{0};
    std::function<void(pid_t)> look = {};
  };

  /// Returns when the program runs. Errors: kHost.
  static Result<std::unique_ptr<ChildProcess>> start(Options options);
  ~ChildProcess() { stop(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Ends it and waits until it is gone. Not from on_end.
  void stop();
  /// Has it killed, soon, by the thread that watches it, which alone may have the right to (it runs
  /// as another user): for one that does not do what it should. on_end is told. Any thread.
  void kill();
  /// For who has noticed by other ways that it does not serve any more: waits until it has ended,
  /// at most this long, and says how and what it printed; nothing if it has not. Any thread but the
  /// watcher's.
  std::optional<Error> wait_for_end(std::chrono::milliseconds limit);
  pid_t pid() const { return pid_; }
  /// Of its confinement, as they are in force.
  const sandbox::Layers& layers() const { return layers_; }

 private:
  ChildProcess(Options options, EventFd stop)
      : options_(std::move(options)), stop_(std::move(stop)) {}
  void run();
  Status begin() GPUVM_EXCLUDES(mutex_);
  void watch();
  void await_end();
  void hear();
  void end(int status, bool is_known) GPUVM_EXCLUDES(mutex_);

  void send(int signal) const;

  const Options options_;
  const EventFd stop_;
  std::atomic<bool> is_to_be_killed_{false};
  UniqueFd process_;  ///< pidfd
  UniqueFd said_;
  std::string printed_;  ///< the end of it; the thread's
  pid_t pid_ = 0;
  sandbox::Layers layers_;

  Mutex mutex_;
  Condition changed_;
  std::optional<Status> begun_ GPUVM_GUARDED_BY(mutex_);
  std::optional<Error> ended_ GPUVM_GUARDED_BY(mutex_);
  bool is_stopping_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace gpuvm
