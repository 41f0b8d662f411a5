// SPDX-License-Identifier: Apache-2.0
// MemorySlotTable: the VM's KVM memory slots (KVM_SET_USER_MEMORY_REGION). Slot numbers are reused
// lowest first. When the VM is made anew after a guest reset, the slots that are still here are put
// into it.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "vmm/base/inspect.hpp"
#include "vmm/bus/memory_slots.hpp"

namespace gpuvm {

class MemorySlotTable : public MemorySlots, public Inspectable {
 public:
  explicit MemorySlotTable(unsigned max_slots) : max_slots_(max_slots) {}

  /// Binds to a VM that has no slots and adds all known ones. Call while no vCPU runs.
  Status attach(int vm_fd);
  /// The VM is about to go; until the next attach() nothing reaches one.
  void detach() {
    const std::lock_guard lock(mutex_);
    vm_fd_ = -1;
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
  Status set(SlotId id, const Slot& slot, std::uint64_t size);

  const unsigned max_slots_;
  mutable std::mutex mutex_;  ///< guards the members below
  int vm_fd_ = -1;
  std::map<SlotId, Slot> slots_;
  std::atomic<std::uint64_t> changes_{0};
};

}  // namespace gpuvm
