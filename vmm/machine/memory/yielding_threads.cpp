// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/yielding_threads.hpp"

#include <sched.h>

#include <new>
#include <system_error>
#include <thread>

namespace gpuvm {
namespace {

bool set(pthread_t thread, int policy, const sched_param& parameters) {
  return pthread_setschedparam(thread, policy, &parameters) == 0;
}

/// Of the calling thread, which it names by 0: a filter knows no other number ahead.
bool set_own(int policy, const sched_param& parameters) {
  return ::sched_setscheduler(0, policy, &parameters) == 0;
}

bool set_idle() {
  return set_own(SCHED_IDLE, {});
}

/// Tried rather than read from rights and limits: in a user namespace those say more than is so.
bool may_return_from_idle(int policy, const sched_param& parameters) {
  bool may = false;
  try {
    std::thread([&] { may = set_idle() && set_own(policy, parameters); }).join();
  } catch (const std::system_error&) {  // no more threads for this process
  }
  return may;
}

}  // namespace

YieldingThreads::YieldingThreads() {
  policy_ = ::sched_getscheduler(0);
  ::sched_getparam(0, &parameters_);
  // Of one that is idle itself nobody is lowered, nor hurried: who hurries them has no right to set
  // policies above (vmm/sandbox/roles/rows_guest.cpp).
  may_come_back_ =
      policy_ >= 0 && policy_ <= SCHED_BATCH && may_return_from_idle(policy_, parameters_);
}

void YieldingThreads::begin() {
  const MutexLock lock(mutex_);
  bool is_noted = true;
  try {
    threads_.push_back(pthread_self());
  } catch (const std::bad_alloc&) {
    is_noted = false;  // nobody could make it hurry
  }
  if (!may_come_back_) {
    return;
  }
  if (is_hurried_ || !is_noted) {
    set_own(policy_, parameters_);  // a child of an idle thread is idle
  } else {
    set_idle();
  }
}

void YieldingThreads::end() {
  const MutexLock lock(mutex_);
  std::erase(threads_, pthread_self());
}

void YieldingThreads::hurry() {
  const MutexLock lock(mutex_);
  is_hurried_ = true;
  for (const pthread_t thread : threads_) {
    if (may_come_back_) {
      set(thread, policy_, parameters_);
    }
  }
}

}  // namespace gpuvm
