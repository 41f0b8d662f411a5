// SPDX-License-Identifier: Apache-2.0
// VcpuThreads: one host thread per vCPU. Threads end when the machine stops or resets and are made
// anew after it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "vmm/bus/io_bus.hpp"
#include "vmm/kvm/vcpu.hpp"

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

  /// Starts all vCPUs, or none; they must outlive the threads. Control thread. Errors: kHost: this
  /// process may have no more threads.
  Status start(std::span<const std::unique_ptr<Vcpu>> vcpus);
  /// No guest code runs after this returns. Control thread; does nothing when stopped.
  void stop();
  bool running() const { return !threads_.empty(); }

 private:
  void run(Vcpu& vcpu);

  PortBus& ports_;
  MmioBus& mmio_;
  OnEvent on_event_;
  const std::vector<unsigned> pin_;
  std::vector<Vcpu*> vcpus_;
  std::vector<std::thread> threads_;
};

}  // namespace gpuvm
