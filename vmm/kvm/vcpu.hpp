// SPDX-License-Identifier: Apache-2.0
// Vcpu: one virtual CPU and its KVM_RUN loop. Port and MMIO exits go to the buses; everything else
// ends run().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "firmware/linux/cpu_entry_state.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/kvm/cpuid.hpp"

struct kvm_run;

namespace gpuvm {

/// Why run() came back.
enum class VcpuEvent {
  kInterrupted,  ///< kick() was called
  kShutdown,     ///< triple fault: the guest wants, or suffers, a reset
  kMemoryGone,   ///< it touched a mapping of a device that has left; failure() tells which vCPU
  kFailed,       ///< KVM cannot go on; failure() tells why
};

class Vcpu : public Inspectable {
 public:
  /// `apic_id`: KVM's own number for it, from which its local APIC has its id; 0 is the boot CPU's.
  static Result<std::unique_ptr<Vcpu>> create(int vm_fd, std::uint32_t index, std::uint32_t apic_id,
                                              std::size_t run_area_size);

  std::uint32_t index() const { return index_; }
  Status set_cpuid(std::span<const CpuidEntry> entries);
  /// Machine check banks for show only (IA32_MCG_CAP). After set_cpuid().
  Status limit_machine_check_banks();
  /// Puts the boot CPU where the loader wants it. Other vCPUs wait for the guest's INIT and SIPI.
  Status set_entry_state(const CpuEntryState& state);

  /// Runs the guest. Only from this vCPU's thread.
  VcpuEvent run(PortBus& ports, MmioBus& mmio);
  /// Makes run() return kInterrupted soon, also when it is called later. The thread must be
  /// signalled besides (pthread_kill), so that it leaves KVM_RUN. Any thread.
  void kick();
  /// After kMemoryGone or kFailed. Only from this vCPU's thread or after it has ended.
  const std::string& failure() const { return failure_; }

  /// Exits that reached user space.
  std::uint64_t user_exits() const { return port_exits_ + mmio_exits_; }
  void inspect(InspectNode& node) const override;

 private:
  Vcpu(UniqueFd fd, std::uint32_t index, MappedRegion run_area);
  bool dispatch(PortBus& ports, MmioBus& mmio, VcpuEvent& event);
  void handle_port(PortBus& ports);
  void handle_mmio(MmioBus& mmio);
  void fail_run(int error_number);

  UniqueFd fd_;
  const std::uint32_t index_;
  MappedRegion run_area_;
  kvm_run* run_;
  std::string failure_;
  std::atomic<std::uint64_t> port_exits_{0};
  std::atomic<std::uint64_t> mmio_exits_{0};
};

}  // namespace gpuvm
