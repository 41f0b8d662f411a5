// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/memory_preparation.hpp"

#include <system_error>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

MemoryPreparation::MemoryPreparation(GuestMemory& memory, HostDevices& devices,
                                     std::function<void(Error)> on_failure)
    : memory_(memory), devices_(devices), on_failure_(std::move(on_failure)) {}

MemoryPreparation::~MemoryPreparation() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

Status MemoryPreparation::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    finish(false);  // nobody waits for what will not come
    return fail(ErrorKind::kHost, "No thread can be made for the guest's memory: {}", error.what());
  }
  return {};
}

void MemoryPreparation::run() {
  enter_background_thread("memory");
  threads_.begin();
  auto status = prepare();
  threads_.end();
  const bool done = status.has_value();
  if (!done && !is_unwanted_) {
    on_failure_(std::move(status).error());
  }
  finish(done);
}

Status MemoryPreparation::prepare() {
  TRY(memory_.prefault({.on_begin = [this] { threads_.begin(); },
                        .on_end = [this] { threads_.end(); },
                        .is_unwanted = [this] { return is_unwanted_.load(); }}));
  TRY(devices_.map_memory(memory_));
  log::debug("Guest memory is mapped for {} functions", devices_.functions().size());
  return {};
}

void MemoryPreparation::finish(bool is_mapped) {
  const std::lock_guard lock(mutex_);
  is_done_ = true;
  is_mapped_ = is_mapped;
  changed_.notify_all();
}

bool MemoryPreparation::wait() {
  threads_.hurry();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_done_; });
  return is_mapped_;
}

void MemoryPreparation::break_off() {
  is_unwanted_ = true;
  wait();
}

}  // namespace gpuvm
