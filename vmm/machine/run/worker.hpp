// SPDX-License-Identifier: Apache-2.0
// Worker: one thread that does one thing after the other, so that who hands them out never waits.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

class Worker {
 public:
  /// name: of the thread, at most 15 characters. Where this process may have no more threads,
  /// post() does the work itself.
  explicit Worker(const std::string& name);
  /// Waits for all that was posted.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Whether it has its thread. Errors: kHost, with the cure.
  Status check() const;
  /// `work` must not throw. Any thread.
  void post(std::function<void()> work) GPUVM_EXCLUDES(mutex_);

 private:
  void run() GPUVM_EXCLUDES(mutex_);

  Mutex mutex_;
  Condition changed_;
  std::deque<std::function<void()>> waiting_ GPUVM_GUARDED_BY(mutex_);
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm
