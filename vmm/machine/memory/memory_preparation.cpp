// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/memory_preparation.hpp"

#include <system_error>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {

MemoryPreparation::~MemoryPreparation() {
  wait_for_end();
}

void MemoryPreparation::wait_for_end() {
  for (std::thread* const thread : {&thread_, &hurrier_}) {
    if (thread->joinable()) {
      thread->join();
    }
  }
}

Status MemoryPreparation::start() {
  try {
    hurrier_ = std::thread([this] { hurry_when_awaited(); });
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    finish(false);  // nobody waits for what will not come
    return fail(ErrorKind::kHost, "No thread can be made for the guest's memory: {}", error.what());
  }
  return {};
}

void MemoryPreparation::run() {
  enter_background_thread("memory");
  sandbox::enter(sandbox::ThreadRole::kMemory);
  threads_.begin();
  Status status;
  if (const auto thrown = thrown_by([&] { status = prepare(); })) {
    status = fail(ErrorKind::kInternal, "Guest memory cannot be prepared: {}", *thrown);
  }
  threads_.end();
  const bool done = status.has_value();
  if (!done && !is_unwanted_) {
    options_.on_failure(std::move(status).error());
  }
  finish(done);
}

void MemoryPreparation::hurry_when_awaited() {
  enter_background_thread("memory-hurry");
  sandbox::enter(sandbox::ThreadRole::kMemory);
  {
    MutexLock lock(mutex_);
    while (!is_awaited_ && !is_done_) {
      changed_.wait(lock);
    }
  }
  threads_.hurry();
}

Status MemoryPreparation::prepare() {
  const auto is_unwanted = [this] { return is_unwanted_.load(); };
  TRY(options_.memory.prefault({.on_begin = [this] { threads_.begin(); },
                                .on_end = [this] { threads_.end(); },
                                .is_unwanted = is_unwanted}));
  TRY(options_.map(is_unwanted));
  log::debug("Guest memory is mapped for the devices");
  return {};
}

void MemoryPreparation::finish(bool is_mapped) {
  const MutexLock lock(mutex_);
  is_mapped_ = is_mapped && !is_done_;  // who waited and was let go has been told that it is not
  is_done_ = true;
  changed_.notify_all();
}

bool MemoryPreparation::wait() {
  MutexLock lock(mutex_);
  is_awaited_ = true;
  changed_.notify_all();
  while (!is_done_) {
    changed_.wait(lock);
  }
  return is_mapped_;
}

void MemoryPreparation::break_off() {
  is_unwanted_ = true;
  const MutexLock lock(mutex_);
  is_done_ = true;
  changed_.notify_all();
}

}  // namespace gpuvm
