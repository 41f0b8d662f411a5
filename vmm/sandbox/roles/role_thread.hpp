// SPDX-License-Identifier: Apache-2.0
// RoleThread: one thread of a role that does what others hand it, while they wait: for what a
// guest's processor leads to and its own thread has no right to, such as the reset of a device.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

class RoleThread {
 public:
  /// `name`: of the thread, its first 15 characters count. Errors: kHost: this process may have no
  /// more threads.
  static Result<std::unique_ptr<RoleThread>> create(std::string name, ThreadRole role);
  ~RoleThread();
  RoleThread(const RoleThread&) = delete;
  RoleThread& operator=(const RoleThread&) = delete;

  /// Returns when `work` is done, and throws what it threw. Any thread but its own; several take
  /// turns.
  void run(const std::function<void()>& work) GPUVM_EXCLUDES(mutex_);

 private:
  RoleThread(std::string name, ThreadRole role) : name_(std::move(name)), role_(role) {}
  void live() GPUVM_EXCLUDES(mutex_);

  const std::string name_;
  const ThreadRole role_;
  Mutex mutex_;
  Condition changed_;
  const std::function<void()>* work_ GPUVM_GUARDED_BY(mutex_) = nullptr;
  bool is_done_ GPUVM_GUARDED_BY(mutex_) = false;  ///< the work, whose owner has not seen it yet
  std::exception_ptr thrown_ GPUVM_GUARDED_BY(mutex_) = nullptr;  ///< by the work that is done
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;  ///< last: it uses what is above
};

/// The same on the caller's own thread where there is no other.
inline void run_on(RoleThread* thread, const std::function<void()>& work) {
  if (thread != nullptr) {
    thread->run(work);
  } else {
    work();
  }
}

}  // namespace gpuvm::sandbox
