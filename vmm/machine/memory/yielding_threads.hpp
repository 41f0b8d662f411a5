// SPDX-License-Identifier: Apache-2.0
// YieldingThreads: threads of a long work that run where the guest's CPUs leave processors idle,
// until somebody waits for the work. sched(7), SCHED_IDLE.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <vector>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

class YieldingThreads {
 public:
  /// As long as nobody waits, threads have idle priority; but not where the kernel would not let
  /// them come back from it (no CAP_SYS_NICE, as in containers, and RLIMIT_NICE below 20).
  YieldingThreads();
  YieldingThreads(const YieldingThreads&) = delete;
  YieldingThreads& operator=(const YieldingThreads&) = delete;

  /// The calling thread takes part in the work. Throws nothing.
  void begin() GPUVM_EXCLUDES(mutex_);
  /// The calling thread does so no more; before it ends.
  void end() GPUVM_EXCLUDES(mutex_);
  /// Somebody waits: the priority that this process has for all of them, now and later. Any thread
  /// that has all capabilities which theirs have: without, the kernel leaves them as they are.
  void hurry() GPUVM_EXCLUDES(mutex_);

 private:
  int policy_ = SCHED_OTHER;  ///< of who made this
  sched_param parameters_{};
  bool may_come_back_ = false;
  Mutex mutex_;
  std::vector<pthread_t> threads_ GPUVM_GUARDED_BY(mutex_);
  bool is_hurried_ GPUVM_GUARDED_BY(mutex_) = false;
};

}  // namespace gpuvm
