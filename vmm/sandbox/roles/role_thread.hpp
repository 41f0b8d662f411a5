// SPDX-License-Identifier: Apache-2.0
// RoleThread: one thread of a role that does one thing whenever another wants it, who waits: for
// what a guest's processor leads to and its own thread has no right to, such as the reset of a
// device.
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
  /// What the thread does, with what it is about.
  using Work = std::function<void(void* subject)>;
  /// `name`: of the thread, its first 15 characters count. `work`: chosen here, before there is a
  /// guest, or by a thread of the same role, and kept on the thread's stack: who hands something
  /// over later names no code. One that is made by a thread of its role has that role from there,
  /// and its name in messages alone; no other thread with a role can make one.
  /// Errors: kHost: this process may have no more threads.
  static Result<std::unique_ptr<RoleThread>> create(std::string name, ThreadRole role, Work work);
  ~RoleThread();
  RoleThread(const RoleThread&) = delete;
  RoleThread& operator=(const RoleThread&) = delete;

  /// Returns when the work is done with `subject`, which is of the type that the work was made for,
  /// and throws what it threw. Any thread but its own; several take turns.
  void run(void* subject) GPUVM_EXCLUDES(mutex_);

 private:
  RoleThread(std::string name, ThreadRole role) : name_(std::move(name)), role_(role) {}
  void begin(bool has_role);
  void live(Work work) GPUVM_EXCLUDES(mutex_);

  const std::string name_;
  const ThreadRole role_;
  Mutex mutex_;
  Condition changed_;
  bool is_taken_ GPUVM_GUARDED_BY(mutex_) = false;  ///< by somebody who waits
  void* subject_ GPUVM_GUARDED_BY(mutex_) = nullptr;
  bool is_done_ GPUVM_GUARDED_BY(mutex_) = false;  ///< the work, whose owner has not seen it yet
  std::exception_ptr thrown_ GPUVM_GUARDED_BY(mutex_) = nullptr;  ///< by the work that is done
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm::sandbox
