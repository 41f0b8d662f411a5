// SPDX-License-Identifier: Apache-2.0
// QueueThread: a thread that sleeps until an eventfd of several is signalled, and serves what it
// stands for: the queues of a virtio device, whose work no vCPU then does. It may wait for a
// descriptor of the device, too. Whoever stops it waits for the work at hand. The thread is made at
// once, with the rights of a queue's thread (vmm/sandbox), and waits for start(): vCPUs, which
// start devices, have no right to make one.
#pragma once

#include <poll.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// start() and stop() are called one at a time.
class QueueThread {
 public:
  struct Options {
    std::string name;  ///< of the thread; its first 15 characters are shown
    /// Serves what an eventfd stands for, by its place in start(); false: the thread is to end.
    /// Long work looks at stopping().
    std::function<bool(std::size_t event)> serve;
    bool looks_first = true;  ///< serves every eventfd once, signalled or not, when it starts
    /// What else to wait for, asked before each wait (a negative descriptor: nothing), and who
    /// serves what came of it; false as above. Both or none.
    std::function<pollfd()> wanted = {};
    std::function<bool(short events)> serve_wanted = {};
    /// Asked before each wait: after so many ms every eventfd is served, signalled or not; -1:
    /// never.
    std::function<int()> patience = {};
    /// The last that the thread does before it waits for the next start().
    std::function<void()> at_end = {};
  };
  /// Errors: kHost: this process may have no more threads, or files.
  static Result<std::unique_ptr<QueueThread>> create(Options options);
  ~QueueThread();
  QueueThread(const QueueThread&) = delete;
  QueueThread& operator=(const QueueThread&) = delete;

  /// The eventfds must outlive stop(). Only when it is stopped.
  void start(std::vector<int> events) GPUVM_EXCLUDES(mutex_);
  /// The same as stop() without the wait: for who stops several. Only before stop().
  void ask_to_stop();
  /// Returns when serve() has, and is not called any more. Does nothing when stopped.
  void stop() GPUVM_EXCLUDES(mutex_);
  /// True from then on until stop() returns. Any thread.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

 private:
  QueueThread(Options options, EventFd stop)
      : options_(std::move(options)), stop_(std::move(stop)) {}
  Status make_thread();
  void live() GPUVM_EXCLUDES(mutex_);
  void run(const std::vector<int>& events);
  bool serve_events(const std::vector<int>& events, std::vector<pollfd>& polled) const;

  const Options options_;
  EventFd stop_;
  std::atomic<bool> stopping_{false};
  bool is_started_ = false;  ///< of who starts and stops
  Mutex mutex_;
  Condition changed_;
  /// What the thread is to serve, until it has ended to.
  std::optional<std::vector<int>> work_ GPUVM_GUARDED_BY(mutex_);
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm
