// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory_preparation.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// Idle priority: the guest's CPUs come first where the host has too few processors for both. On
/// Linux of one thread. A host without the policy only loses that order.
void yield_to_guest(pthread_t thread) {
  const sched_param none{};
  pthread_setschedparam(thread, SCHED_IDLE, &none);
}

/// Ordinary priority again.
void hurry(pthread_t thread) {
  const sched_param none{};
  pthread_setschedparam(thread, SCHED_OTHER, &none);
}

}  // namespace

MemoryPreparation::MemoryPreparation(GuestMemory& memory, HostDevices& devices,
                                     std::function<void(Error)> on_failure)
    : memory_(memory), devices_(devices), on_failure_(std::move(on_failure)) {}

MemoryPreparation::~MemoryPreparation() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

void MemoryPreparation::start() {
  thread_ = std::thread([this] {
    sigset_t signals;
    sigfillset(&signals);
    pthread_sigmask(SIG_SETMASK, &signals, nullptr);  // signals are the control thread's
    pthread_setname_np(pthread_self(), "memory");
    yield_to_guest(pthread_self());
    work();
  });
}

void MemoryPreparation::work() {
  auto status = memory_.prefault();
  if (status) {
    status = devices_.map_memory(memory_);
  }
  const bool failed = !status;
  if (failed) {
    on_failure_(std::move(status).error());
  } else {
    log::debug("Guest memory is mapped for {} functions", devices_.functions().size());
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  failed_ = failed;
  changed_.notify_all();
}

bool MemoryPreparation::wait() {
  std::unique_lock lock(mutex_);
  if (!done_ && thread_.joinable()) {
    hurry(thread_.native_handle());  // somebody waits now
  }
  changed_.wait(lock, [this] { return done_; });
  return !failed_;
}

}  // namespace gpuvm
