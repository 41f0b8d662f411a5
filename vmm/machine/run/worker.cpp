// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/worker.hpp"

#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"

namespace gpuvm {

Worker::Worker(const std::string& name) {
  try {
    thread_ = std::thread([this, name] {
      enter_background_thread(name);
      run();
    });
  } catch (const std::system_error&) {  // no more threads for this process
  }
}

Worker::~Worker() {
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Status Worker::check() const {
  return thread_.joinable()
             ? Status()
             : Status(fail(ErrorKind::kHost,
                           "No thread can be made for the worker: raise `ulimit -u` or TasksMax= "
                           "of the systemd unit"));
}

void Worker::post(std::function<void()> work) {
  if (!thread_.joinable()) {
    work();
    return;
  }
  {
    const MutexLock lock(mutex_);
    waiting_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void Worker::run() {
  MutexLock lock(mutex_);
  for (;;) {
    while (waiting_.empty() && !is_ending_) {
      changed_.wait(lock);
    }
    if (waiting_.empty()) {
      return;
    }
    const auto work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace gpuvm
