// SPDX-License-Identifier: Apache-2.0
// Mutex, MutexLock and Condition: the standard library's, with the attributes by which clang proves
// at compile time that guarded members are touched with their lock held (clang, "Thread Safety
// Analysis"). The order in which locks are taken is in docs/architecture.md.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define GPUVM_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define GPUVM_THREAD_ATTRIBUTE(x)
#endif

/// On a member: touched only with this lock held.
#define GPUVM_GUARDED_BY(lock) GPUVM_THREAD_ATTRIBUTE(guarded_by(lock))
/// On a pointer: what it points to is touched only with this lock held.
#define GPUVM_POINTEE_GUARDED_BY(lock) GPUVM_THREAD_ATTRIBUTE(pt_guarded_by(lock))
/// On a function: the caller holds the lock, before and after.
#define GPUVM_REQUIRES(...) GPUVM_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
/// On a function: the caller must not hold the lock; the function takes it, or waits for who does.
#define GPUVM_EXCLUDES(...) GPUVM_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define GPUVM_ACQUIRE(...) GPUVM_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define GPUVM_RELEASE(...) GPUVM_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
/// On a mutex: in the order of locks it comes after these.
#define GPUVM_ACQUIRED_AFTER(...) GPUVM_THREAD_ATTRIBUTE(acquired_after(__VA_ARGS__))
/// On a function that returns a reference to a lock.
#define GPUVM_RETURNS_LOCK(lock) GPUVM_THREAD_ATTRIBUTE(lock_returned(lock))
/// On a function that clang cannot follow; a comment beside it says why it is right.
#define GPUVM_UNCHECKED_LOCKING GPUVM_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace gpuvm {

class GPUVM_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() GPUVM_ACQUIRE() { mutex_.lock(); }
  void unlock() GPUVM_RELEASE() { mutex_.unlock(); }
  /// Tells clang, and nobody else, that the caller has the lock: for code that runs under a lock it
  /// was not given, such as a predicate.
  void assert_held() const GPUVM_THREAD_ATTRIBUTE(assert_capability(this)) {}

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a mutex for a scope; may let go of it in between.
class GPUVM_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) GPUVM_ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() GPUVM_RELEASE() {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void lock() GPUVM_ACQUIRE() { lock_.lock(); }
  void unlock() GPUVM_RELEASE() { lock_.unlock(); }

 private:
  friend class Condition;
  std::unique_lock<std::mutex> lock_;
};

/// A condition variable. Waits are written as loops around what is awaited, which clang can follow.
class Condition {
 public:
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }
  /// Lets go of the lock while it waits; may return without a reason.
  void wait(MutexLock& lock) { condition_.wait(lock.lock_); }
  /// False: the time is over.
  template <class Clock, class Duration>
  bool wait_until(MutexLock& lock, const std::chrono::time_point<Clock, Duration>& end) {
    return condition_.wait_until(lock.lock_, end) == std::cv_status::no_timeout;
  }

 private:
  std::condition_variable condition_;
};

}  // namespace gpuvm
