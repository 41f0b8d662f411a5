// SPDX-License-Identifier: Apache-2.0
// QueueThread: a thread that sleeps until an eventfd of several is signalled, and serves what it
// stands for: the queues of a virtio device, whose work no vCPU then does. It may wait for a
// descriptor of the device, too. Whoever stops it waits for the work at hand.
#pragma once

#include <poll.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/event_fd.hpp"
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
    /// An exception (no memory) has ended the thread's work: called on it, before at_end.
    std::function<void(const Error&)> on_failure = {};
    /// The last that the thread does.
    std::function<void()> at_end = {};
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<QueueThread>> create(Options options);
  ~QueueThread() { stop(); }
  QueueThread(const QueueThread&) = delete;
  QueueThread& operator=(const QueueThread&) = delete;

  /// The eventfds must outlive it. Only when it is stopped. Errors: kHost: this process may have no
  /// more threads.
  Status start(std::vector<int> events);
  /// The same as stop() without the wait: for who stops several. Only before stop().
  void ask_to_stop();
  /// Returns when serve() has, and is not called any more. Does nothing when stopped.
  void stop();
  /// True from then on until stop() returns. Any thread.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

 private:
  QueueThread(Options options, EventFd stop)
      : options_(std::move(options)), stop_(std::move(stop)) {}
  void run(const std::vector<int>& events);
  bool serve_events(const std::vector<int>& events, std::vector<pollfd>& polled) const;

  const Options options_;
  EventFd stop_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace gpuvm
