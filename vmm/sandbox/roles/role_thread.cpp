// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/role_thread.hpp"

#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox {

Result<std::unique_ptr<RoleThread>> RoleThread::create(std::string name, ThreadRole role,
                                                       Work work) {
  std::unique_ptr<RoleThread> made(new RoleThread(std::move(name), role));
  const bool has_role = has_entered(role);
  try {
    made->thread_ = std::thread([raw = made.get(), has_role, own = std::move(work)]() mutable {
      raw->begin(has_role);
      raw->live(std::move(own));
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "Cannot start the thread {}: {} (`ulimit -u`, or pids.max of the cgroup)",
                made->name_, error.what());
  }
  return made;
}

RoleThread::~RoleThread() {
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void RoleThread::run(void* subject) {
  MutexLock lock(mutex_);
  while (is_taken_) {  // by another
    changed_.wait(lock);
  }
  is_taken_ = true;
  subject_ = subject;
  is_done_ = false;
  changed_.notify_all();
  while (!is_done_) {
    changed_.wait(lock);
  }
  is_taken_ = false;
  changed_.notify_all();
  if (const auto thrown = std::exchange(thrown_, nullptr)) {
    std::rethrow_exception(thrown);
  }
}

/// `has_role`: from its maker, as its signals; the kernel's name for it is its maker's, too.
void RoleThread::begin(bool has_role) {
  if (has_role) {
    inherit(role_, name_);
    return;
  }
  enter_background_thread(name_);
  enter(role_);
}

void RoleThread::live(Work work) {  // NOLINT(performance-unnecessary-value-param): its own
  MutexLock lock(mutex_);
  for (;;) {
    while (!is_ending_ && (!is_taken_ || is_done_)) {
      changed_.wait(lock);
    }
    if (is_ending_) {
      return;
    }
    void* const subject = subject_;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      work(subject);
    } catch (...) {  // it would end the process where it stands: it is for who handed the work over
      thrown = std::current_exception();
    }
    lock.lock();
    thrown_ = thrown;
    is_done_ = true;
    changed_.notify_all();
  }
}

}  // namespace gpuvm::sandbox
