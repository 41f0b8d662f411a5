// SPDX-License-Identifier: Apache-2.0
// VcpuThreads: one host thread per vCPU. Threads wait while the guest is paused, end when it stops
// or resets, and are made anew after a reset.
#pragma once

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
  ~VcpuThreads() { stop(); }
  VcpuThreads(const VcpuThreads&) = delete;
  VcpuThreads& operator=(const VcpuThreads&) = delete;

  // One thread, the machine's worker, calls these, but for hold().

  /// Starts all vCPUs, or none; they must outlive the threads. Errors: kHost: this process may have
  /// no more threads.
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

  Status start_all(std::span<VirtualCpu* const> vcpus) GPUVM_EXCLUDES(mutex_);
  void run_until_end(VirtualCpu& vcpu) GPUVM_EXCLUDES(mutex_);
  void run(VirtualCpu& vcpu) GPUVM_EXCLUDES(mutex_);
  bool rest(VirtualCpu& vcpu) GPUVM_EXCLUDES(mutex_);
  void wish(Wish wish) GPUVM_REQUIRES(mutex_);

  PortBus& ports_;
  MmioBus& mmio_;
  OnEvent on_event_;
  const std::vector<unsigned> pin_;
  Mutex mutex_;
  Condition changed_;
  Wish wish_ GPUVM_GUARDED_BY(mutex_) = Wish::kRun;
  std::size_t at_work_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< threads that neither rest nor have ended
  // Changed by the worker's thread only: under the lock while there are threads, which hold()
  // reads.
  std::vector<VirtualCpu*> vcpus_;
  std::vector<std::thread> threads_;
};

}  // namespace gpuvm
