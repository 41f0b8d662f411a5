// SPDX-License-Identifier: Apache-2.0
// QueueThread: the thread on which a virtio device serves its queues, so that no vCPU ever waits
// for a device's work. It sleeps until a doorbell rings.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

class QueueThread {
 public:
  struct Options {
    std::string name;                 ///< of the thread, at most 15 characters
    std::vector<int> doorbells = {};  ///< eventfds, one for each queue
    /// Serves one queue; false: the thread is to end. Long work looks at stopping().
    std::function<bool(std::size_t queue)> serve;
  };
  /// The doorbells must outlive this. Errors: kHost.
  static Result<std::unique_ptr<QueueThread>> create(Options options);
  ~QueueThread() { stop(); }
  QueueThread(const QueueThread&) = delete;
  QueueThread& operator=(const QueueThread&) = delete;

  /// Serves every queue once, then those whose doorbells ring. Does nothing when started.
  /// Errors: kHost: this process may have no more threads.
  Status start();
  /// Returns when serve() has, and is not called any more. Does nothing when stopped.
  void stop();
  bool started() const { return thread_.joinable(); }
  /// True while stop() waits. Any thread.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

 private:
  QueueThread(Options options, EventFd stop)
      : options_(std::move(options)), stop_(std::move(stop)) {}
  void run();

  const Options options_;
  EventFd stop_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace gpuvm
