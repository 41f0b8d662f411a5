// SPDX-License-Identifier: Apache-2.0
// KvmVm: one virtual machine. A guest reset makes a new KVM VM under the same object: CPUs,
// interrupt controllers and timers are then fresh by construction, while guest memory, its pins and
// the devices stay.
#pragma once

#include <memory>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/kvm/doorbell_table.hpp"
#include "vmm/kvm/interrupt_routing.hpp"
#include "vmm/kvm/kvm_system.hpp"
#include "vmm/kvm/memory_slot_table.hpp"
#include "vmm/kvm/vcpu.hpp"

namespace gpuvm {

struct KvmVmOptions {
  CpuTopology cpus = CpuTopology::one_package(1);
  std::vector<CpuidEntry> cpuid;    ///< what the guest may see, before topology
  std::vector<int> vfio_group_fds;  ///< told to KVM, for cache coherency and ownership
};

class KvmVm : public Inspectable {
 public:
  /// Errors: kHost.
  static Result<std::unique_ptr<KvmVm>> create(const KvmSystem& system, KvmVmOptions options);

  MemorySlotTable& slots() { return slots_; }
  InterruptRouting& interrupts() { return interrupts_; }
  DoorbellTable& doorbells() { return doorbells_; }
  std::vector<std::unique_ptr<Vcpu>>& vcpus() { return vcpus_; }

  /// VFIO groups to tell KVM about; takes effect at the next rebuild().
  void set_vfio_groups(std::vector<int> group_fds) {
    options_.vfio_group_fds = std::move(group_fds);
  }

  /// Makes the VM anew: memory slots and doorbells are kept, vCPUs are in their power-on state.
  /// Only while no vCPU thread runs and no interrupt is connected.
  Status rebuild();

  void inspect(InspectNode& node) const override;

 private:
  KvmVm(const KvmSystem& system, KvmVmOptions options);
  Status create_chips();
  Status create_vcpus();
  Status add_vfio_groups();

  const KvmSystem& system_;
  KvmVmOptions options_;
  UniqueFd vm_;
  UniqueFd vfio_link_;
  MemorySlotTable slots_;
  InterruptRouting interrupts_;
  DoorbellTable doorbells_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace gpuvm
