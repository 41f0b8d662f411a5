// SPDX-License-Identifier: Apache-2.0
// KvmVm: one virtual machine. A guest reset makes a new KVM VM under the same object: CPUs,
// interrupt controllers and timers are then fresh by construction, while guest memory, its pins and
// the devices stay.
#pragma once

#include <memory>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/kvm/doorbell_table.hpp"
#include "vmm/kvm/interrupt_routing.hpp"
#include "vmm/kvm/kvm_system.hpp"
#include "vmm/kvm/memory_slot_table.hpp"
#include "vmm/kvm/vcpu.hpp"

namespace gpuvm {

struct KvmVmOptions {
  CpuTopology cpus = CpuTopology::one_package(1);
  std::vector<CpuidEntry> cpuid;  ///< what the guest may see, before topology
  /// No firmware runs that would switch the MTRRs on. Linux 6.1 has no PAT without them: its
  /// writes to VRAM are then uncached in place of combined.
  bool enable_memory_types = false;
  std::vector<int> vfio_group_fds;  ///< told to KVM, for cache coherency and ownership
};

class KvmVm : public Inspectable {
 public:
  /// Errors: kHost.
  static Result<std::unique_ptr<KvmVm>> create(const KvmSystem& system, KvmVmOptions options);

  MemorySlotTable& slots() { return slots_; }
  InterruptRouting& interrupts() { return interrupts_; }
  DoorbellTable& doorbells() { return doorbells_; }
  /// For who runs them; changed by rebuild() alone, while nobody does.
  std::vector<std::unique_ptr<Vcpu>>& vcpus() GPUVM_UNCHECKED_LOCKING { return vcpus_; }

  /// Makes the VM anew: memory slots and doorbells are kept, vCPUs are in their power-on state.
  /// Only while no vCPU thread runs and no interrupt is connected. On errors there are no vCPUs.
  Status rebuild();

  /// A VFIO group that comes later, told to KVM now and by each rebuild(). It stays the caller's
  /// and open until release_vfio_group(), after which KVM has no hold of it. Errors: kHost. On the
  /// thread that rebuilds, while vCPUs run too.
  Status hold_vfio_group(int group);
  void release_vfio_group(int group);

  /// Any thread, during rebuild() too.
  void inspect(InspectNode& node) const override;

 private:
  KvmVm(const KvmSystem& system, KvmVmOptions options);
  Status create_chips();
  Result<std::vector<std::unique_ptr<Vcpu>>> create_vcpus();
  void set_vcpus(std::vector<std::unique_ptr<Vcpu>> vcpus);
  Status add_vfio_groups();
  Status make_vfio_link();
  Status tell_of_group(int group, bool is_held) const;

  const KvmSystem& system_;
  KvmVmOptions options_;
  UniqueFd vm_;
  UniqueFd vfio_link_;
  MemorySlotTable slots_;
  InterruptRouting interrupts_;
  DoorbellTable doorbells_;
  mutable Mutex vcpus_mutex_;  ///< between rebuild() and inspect()
  std::vector<std::unique_ptr<Vcpu>> vcpus_ GPUVM_GUARDED_BY(vcpus_mutex_);
};

}  // namespace gpuvm
