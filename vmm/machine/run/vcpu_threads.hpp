// SPDX-License-Identifier: Apache-2.0
// VcpuThreads: one host thread per vCPU. Threads are made while the machine is built, with the
// rights of a vCPU's thread (vmm/sandbox); they wait while the guest is paused, stopped or reset.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/kvm/virtual_cpu.hpp"

namespace gpuvm {

class VcpuThreads {
 public:
  /// Called once, from the vCPU's thread, when it ends by itself (triple fault or failure).
  using OnEvent = std::function<void(VcpuEvent event, const std::string& failure)>;

  /// pin: the host's CPU of vCPU n; empty: any.
  VcpuThreads(PortBus& ports, MmioBus& mmio, OnEvent on_event, std::vector<unsigned> pin = {});
  ~VcpuThreads();
  VcpuThreads(const VcpuThreads&) = delete;
  VcpuThreads& operator=(const VcpuThreads&) = delete;

  // One thread, the machine's worker, calls these, but for hold().

  /// So many threads, which wait for their vCPUs: whoever calls start() later need have no right to
  /// make one. Errors: kHost: this process may have no more threads.
  Status make(std::size_t count) GPUVM_EXCLUDES(mutex_);
  /// Starts all vCPUs, or none; they must outlive stop(). Errors: as make(), for threads that there
  /// are too few of.
  Status start(std::span<VirtualCpu* const> vcpus) GPUVM_EXCLUDES(mutex_);
  /// When this returns, no guest code runs and no access of the guest is half done, until resume().
  /// Waits for a vCPU that is in a device's register, as long as that takes.
  void pause() GPUVM_EXCLUDES(mutex_);
  /// After pause(). A vCPU that cannot go on tells it as one that ends by itself.
  void resume() GPUVM_EXCLUDES(mutex_);
  /// For a guest that has ended its run by a register, from the vCPU's thread that is in it: this
  /// vCPU gets no further, the others soon not, until stop(). Waits for none of them. Any thread.
  void hold() GPUVM_EXCLUDES(mutex_);
  /// No guest code runs after this returns. Does nothing when stopped.
  void stop() GPUVM_EXCLUDES(mutex_);

 private:
  enum class Wish { kRun, kPause, kStop };

  void live(std::size_t place) GPUVM_EXCLUDES(mutex_);
  void run(VirtualCpu& vcpu) GPUVM_EXCLUDES(mutex_);
  bool rest(VirtualCpu& vcpu) GPUVM_EXCLUDES(mutex_);
  void wish(Wish wish) GPUVM_REQUIRES(mutex_);
  bool is_idle() const GPUVM_REQUIRES(mutex_);

  PortBus& ports_;
  MmioBus& mmio_;
  OnEvent on_event_;
  const std::vector<unsigned> pin_;
  Mutex mutex_;
  Condition changed_;
  Wish wish_ GPUVM_GUARDED_BY(mutex_) = Wish::kRun;
  std::size_t at_work_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< threads that neither rest nor have ended
  /// What each thread has to run; null: nothing.
  std::vector<VirtualCpu*> vcpus_ GPUVM_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ GPUVM_GUARDED_BY(mutex_);
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
};

}  // namespace gpuvm
