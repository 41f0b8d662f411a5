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

#include "vmm/base/inspect.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/kvm/cpuid.hpp"
#include "vmm/kvm/virtual_cpu.hpp"

struct kvm_run;

namespace gpuvm {

class Vcpu : public VirtualCpu, public Inspectable {
 public:
  /// `apic_id`: KVM's own number for it, from which its local APIC has its id; 0 is the boot CPU's.
  static Result<std::unique_ptr<Vcpu>> create(int vm_fd, std::uint32_t index, std::uint32_t apic_id,
                                              std::size_t run_area_size);

  std::uint32_t index() const override { return index_; }
  Status set_cpuid(std::span<const CpuidEntry> entries);
  /// Machine check banks for show only (IA32_MCG_CAP). After set_cpuid().
  Status limit_machine_check_banks();

  /// Switches the MTRRs on with write-back as the default type, as a firmware does. Before it runs.
  Status enable_memory_types();
  /// A model-specific register, as KVM has it. While it does not run. Errors: kHost.
  Result<std::uint64_t> read_msr(std::uint32_t index) const;

  Status set_entry_state(const CpuEntryState& state) override;
  VcpuEvent run(PortBus& ports, MmioBus& mmio) override;
  void kick() override;
  void clear_kick() override;
  /// KVM_KVMCLOCK_CTRL; success for a guest that does not use kvmclock.
  Status tell_of_pause() override;
  const std::string& failure() const override { return failure_; }

  void inspect(InspectNode& node) const override;

 private:
  Vcpu(UniqueFd fd, std::uint32_t index, MappedRegion run_area);
  bool dispatch(PortBus& ports, MmioBus& mmio, VcpuEvent& event);
  void handle_port(PortBus& ports);
  void handle_mmio(MmioBus& mmio);
  void fail_run(int error_number);

  UniqueFd fd_;
  UniqueFd statistics_;  ///< KVM's; none on old hosts
  const std::uint32_t index_;
  MappedRegion run_area_;
  kvm_run* run_;
  std::string failure_;
  std::atomic<std::uint64_t> port_exits_{0};
  std::atomic<std::uint64_t> mmio_exits_{0};
};

}  // namespace gpuvm
