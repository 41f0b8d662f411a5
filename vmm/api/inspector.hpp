// SPDX-License-Identifier: Apache-2.0
// Inspector: looks at the machine for clients of the control socket, on a thread of its own, since
// who looks may wait for a reset of what is emulated, and the control thread never waits.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

class Inspector {
 public:
  /// Makes the thread at once: the control thread will have no right to.
  Inspector();
  /// Waits for the work that has begun; what has not is not done any more.
  ~Inspector();
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

  /// `work` must not throw. Where this process could have no more threads, the work is done here.
  /// Control thread.
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
