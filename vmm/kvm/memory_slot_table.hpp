// SPDX-License-Identifier: Apache-2.0
// MemorySlotTable: the VM's KVM memory slots (KVM_SET_USER_MEMORY_REGION). Slot numbers are reused
// lowest first. When the VM is made anew after a guest reset, the slots that are still here are put
// into it. They may come and go at any time, with vCPUs running (the kernel waits until none is in
// a slot that goes) and between two VMs.
#pragma once

#include <atomic>
#include <map>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/memory_slots.hpp"
#include "vmm/kvm/vm_ioctl.hpp"

namespace gpuvm {

class MemorySlotTable : public MemorySlots, public Inspectable {
 public:
  explicit MemorySlotTable(unsigned max_slots) : max_slots_(max_slots) {}

  /// Binds to a VM that has no slots and adds all known ones. Call while no vCPU runs.
  Status attach(VmIoctl vm);
  /// The VM is about to go. Until the next attach(), slots are only noted.
  void detach() {
    const MutexLock lock(mutex_);
    vm_ = nullptr;
  }

  Result<SlotId> map(GuestAddress at, std::span<std::byte> host, SlotAccess access) override;
  void unmap(SlotId slot) override;

  std::size_t count() const;
  /// Slot changes since the start: each stalls all vCPUs for a moment.
  std::uint64_t changes() const { return changes_; }
  void inspect(InspectNode& node) const override;

 private:
  struct Slot {
    GuestRange range;
    std::byte* host;
    SlotAccess access;
  };
  Status set(SlotId id, const Slot& slot, std::uint64_t size) GPUVM_REQUIRES(mutex_);

  const unsigned max_slots_;
  std::atomic<std::uint64_t> changes_{0};
  mutable Mutex mutex_;
  VmIoctl vm_ GPUVM_GUARDED_BY(mutex_);
  std::map<SlotId, Slot> slots_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
