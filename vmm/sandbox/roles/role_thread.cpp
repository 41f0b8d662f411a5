// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/role_thread.hpp"

#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox {

Result<std::unique_ptr<RoleThread>> RoleThread::create(std::string name, ThreadRole role) {
  std::unique_ptr<RoleThread> made(new RoleThread(std::move(name), role));
  try {
    made->thread_ = std::thread([raw = made.get()] { raw->live(); });
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

void RoleThread::run(const std::function<void()>& work) {
  MutexLock lock(mutex_);
  while (work_ != nullptr) {  // another's
    changed_.wait(lock);
  }
  work_ = &work;
  is_done_ = false;
  changed_.notify_all();
  while (!is_done_) {
    changed_.wait(lock);
  }
  work_ = nullptr;
  changed_.notify_all();
  if (const auto thrown = std::exchange(thrown_, nullptr)) {
    std::rethrow_exception(thrown);
  }
}

void RoleThread::live() {
  enter_background_thread(name_);
  enter(role_);
  MutexLock lock(mutex_);
  for (;;) {
    while (!is_ending_ && (work_ == nullptr || is_done_)) {
      changed_.wait(lock);
    }
    if (is_ending_) {
      return;
    }
    const std::function<void()>& work = *work_;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      work();
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
