// SPDX-License-Identifier: Apache-2.0
// VirtualCpu: a vCPU as the thread sees it that runs it. Vcpu is KVM's; tests have another.
#pragma once

#include <cstdint>
#include <string>

#include "firmware/linux/cpu_entry_state.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/io_bus.hpp"

namespace gpuvm {

/// Why run() came back.
enum class VcpuEvent {
  kInterrupted,  ///< kick() was called
  kShutdown,     ///< triple fault: the guest wants, or suffers, a reset
  kMemoryGone,   ///< it touched a mapping of a device that has left; failure() tells which vCPU
  kGivenUp,      ///< KVM gave it up, as where it cannot emulate an instruction; failure() tells
  kFailed,       ///< it cannot go on; failure() tells why
};

class VirtualCpu {
 public:
  virtual ~VirtualCpu() = default;

  virtual std::uint32_t index() const = 0;
  /// Puts the boot CPU where the loader wants it. Other vCPUs wait for the guest's INIT and SIPI.
  /// While it does not run.
  virtual Status set_entry_state(const CpuEntryState& state) = 0;

  /// Runs the guest. When it returns, every access that the guest had begun is finished. Only from
  /// this vCPU's thread.
  virtual VcpuEvent run(PortBus& ports, MmioBus& mmio) = 0;
  /// Makes run() return kInterrupted soon, also when it is called later, until clear_kick(). The
  /// thread must be signalled besides (pthread_kill), so that it leaves KVM_RUN. Any thread.
  virtual void kick() = 0;
  /// run() runs the guest again. While it does not run.
  virtual void clear_kick() = 0;
  /// The guest was paused and is about to go on: its clock may tell it, so that it does not take
  /// the gap for a fault of its own. Only from this vCPU's thread. Errors: kHost.
  virtual Status tell_of_pause() = 0;
  /// After kMemoryGone, kGivenUp or kFailed. Only from this vCPU's thread or after it has ended.
  virtual const std::string& failure() const = 0;
};

}  // namespace gpuvm
