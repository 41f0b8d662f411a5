// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/vcpu_threads.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

int kick_signal() {
  return SIGRTMIN;
}

/// The signal's only work is to make KVM_RUN return; it needs a handler or it would end the
/// process.
void install_kick_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(kick_signal(), &action, nullptr);
}

/// Signals for the process (SIGTERM …) are the control thread's business. SIGSYS is this thread's
/// own (vmm/sandbox/roles/trap_handler.hpp). SIGBUS is not one of them: KVM sends it to a vCPU that
/// touches a page of the host with a memory error, and would try again for ever if it were blocked.
/// It ends the process; the next start repairs the devices.
void block_other_signals() {
  sigset_t signals;
  sigfillset(&signals);
  sigdelset(&signals, kick_signal());
  sigdelset(&signals, SIGBUS);
  sigdelset(&signals, SIGSYS);
  pthread_sigmask(SIG_SETMASK, &signals, nullptr);
}

/// The calling thread. The processor was there when the machine was made; one that has gone since
/// costs speed only.
void pin_to(unsigned host_cpu, unsigned vcpu) {
  const std::size_t size = CPU_ALLOC_SIZE(host_cpu + 1);
  cpu_set_t* set = CPU_ALLOC(host_cpu + 1);
  if (set == nullptr) {
    return;
  }
  CPU_ZERO_S(size, set);
  CPU_SET_S(host_cpu, size, set);
  if (const int error = pthread_setaffinity_np(pthread_self(), size, set); error != 0) {
    log::warn("vCPU {} cannot run on the host's CPU {} alone: {}", vcpu, host_cpu,
              std::strerror(error));
  }
  CPU_FREE(set);
}

}  // namespace

VcpuThreads::VcpuThreads(PortBus& ports, MmioBus& mmio, OnEvent on_event, std::vector<unsigned> pin)
    : ports_(ports), mmio_(mmio), on_event_(std::move(on_event)), pin_(std::move(pin)) {
  install_kick_handler();
}

VcpuThreads::~VcpuThreads() {
  stop();
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
    threads.swap(threads_);
  }
  changed_.notify_all();
  for (auto& thread : threads) {
    thread.join();
  }
}

Status VcpuThreads::make(std::size_t count) {
  const MutexLock lock(mutex_);
  while (threads_.size() < count) {
    const std::size_t place = threads_.size();
    vcpus_.push_back(nullptr);
    try {
      threads_.emplace_back([this, place] { live(place); });
    } catch (const std::system_error& error) {
      vcpus_.pop_back();
      return fail(ErrorKind::kHost,
                  "Cannot start the thread of vCPU {}: {} (`ulimit -u`, or pids.max of the cgroup)",
                  place, error.what());
    }
  }
  return {};
}

Status VcpuThreads::start(std::span<VirtualCpu* const> vcpus) {
  stop();
  TRY(make(vcpus.size()));
  const MutexLock lock(mutex_);
  wish_ = Wish::kRun;
  at_work_ = vcpus.size();
  std::copy(vcpus.begin(), vcpus.end(), vcpus_.begin());
  changed_.notify_all();
  return {};
}

void VcpuThreads::live(std::size_t place) {
  block_other_signals();
  if (place < pin_.size()) {
    pin_to(pin_[place], static_cast<unsigned>(place));
  }
  pthread_setname_np(pthread_self(), fmt::format("vcpu-{}", place).c_str());
  sandbox::enter(sandbox::ThreadRole::kVcpu);
  MutexLock lock(mutex_);
  for (;;) {
    while (vcpus_[place] == nullptr && !is_ending_) {
      changed_.wait(lock);
    }
    if (is_ending_) {
      return;
    }
    VirtualCpu& vcpu = *vcpus_[place];
    lock.unlock();
    run(vcpu);
    lock.lock();
    vcpus_[place] = nullptr;
    --at_work_;
    changed_.notify_all();
  }
}

void VcpuThreads::run(VirtualCpu& vcpu) {
  for (;;) {
    if (const VcpuEvent event = vcpu.run(ports_, mmio_); event != VcpuEvent::kInterrupted) {
      on_event_(event, vcpu.failure());
      return;
    }
    if (!rest(vcpu)) {
      return;
    }
    if (const auto told = vcpu.tell_of_pause(); !told) {
      on_event_(VcpuEvent::kFailed, told.error().to_string());
      return;
    }
  }
}

/// While the guest is paused. False: it is to stop.
bool VcpuThreads::rest(VirtualCpu& vcpu) {
  MutexLock lock(mutex_);
  --at_work_;
  changed_.notify_all();
  while (wish_ == Wish::kPause) {
    changed_.wait(lock);
  }
  ++at_work_;
  if (wish_ == Wish::kRun) {
    vcpu.clear_kick();  // under the lock: a kick that follows a newer wish is not lost
  }
  return wish_ == Wish::kRun;
}

/// The flag of kick() and the signal: a vCPU in the guest leaves it, one that is about to enter it
/// does not.
void VcpuThreads::wish(Wish wish) {
  wish_ = wish;
  changed_.notify_all();
  for (std::size_t i = 0; wish != Wish::kRun && i < threads_.size(); ++i) {
    if (vcpus_[i] != nullptr) {
      vcpus_[i]->kick();
      pthread_kill(threads_[i].native_handle(), kick_signal());
    }
  }
}

void VcpuThreads::pause() {
  MutexLock lock(mutex_);
  wish(Wish::kPause);
  while (at_work_ != 0) {
    changed_.wait(lock);
  }
}

void VcpuThreads::resume() {
  const MutexLock lock(mutex_);
  wish(Wish::kRun);
}

void VcpuThreads::hold() {
  const MutexLock lock(mutex_);
  if (wish_ == Wish::kRun) {
    wish(Wish::kPause);
  }
}

void VcpuThreads::stop() {
  MutexLock lock(mutex_);
  wish(Wish::kStop);
  while (!is_idle()) {
    changed_.wait(lock);
  }
}

/// No thread has a vCPU.
bool VcpuThreads::is_idle() const {
  return std::all_of(vcpus_.begin(), vcpus_.end(),
                     [](const auto* vcpu) { return vcpu == nullptr; });
}

}  // namespace gpuvm
