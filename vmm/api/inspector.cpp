// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/inspector.hpp"

#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {

Inspector::Inspector() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {  // post() does without
  }
}

Inspector::~Inspector() {
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
    waiting_.clear();
    changed_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Inspector::post(std::function<void()> work) {
  if (!thread_.joinable()) {
    work();
    return;
  }
  const MutexLock lock(mutex_);
  waiting_.push_back(std::move(work));
  changed_.notify_all();
}

void Inspector::run() {
  enter_background_thread("inspector");
  sandbox::enter(sandbox::ThreadRole::kInspector);
  for (;;) {
    std::function<void()> work;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !is_ending_) {
        changed_.wait(lock);
      }
      if (is_ending_) {
        return;
      }
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    work();
  }
}

}  // namespace gpuvm
