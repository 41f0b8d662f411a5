// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/memory_slot_table.hpp"

#include <linux/kvm.h>

#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

Status MemorySlotTable::attach(VmIoctl vm) {
  const MutexLock lock(mutex_);
  vm_ = std::move(vm);
  for (const auto& [id, slot] : slots_) {
    TRY(set(id, slot, slot.range.size()));
  }
  return {};
}

Status MemorySlotTable::set(SlotId id, const Slot& slot, std::uint64_t size) {
  if (!vm_) {
    return {};
  }
  kvm_userspace_memory_region region{};
  region.slot = id;
  region.flags = slot.access == SlotAccess::kReadOnly ? KVM_MEM_READONLY : 0;
  region.guest_phys_addr = slot.range.base().value();
  region.memory_size = size;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(slot.host);
  ++changes_;
  if (vm_(KVM_SET_USER_MEMORY_REGION, &region) != 0) {
    return fail_errno(ErrorKind::kInternal, fmt::format("Memory slot {} at {:#x}, {:#x} bytes", id,
                                                        region.guest_phys_addr, size));
  }
  return {};
}

Result<SlotId> MemorySlotTable::map(GuestAddress at, std::span<std::byte> host, SlotAccess access) {
  const auto range = GuestRange::create(at, host.size());
  if (!range || !is_aligned(at.value(), kPageSize) || !is_aligned(host.size(), kPageSize)) {
    return fail(ErrorKind::kInternal, "Memory slot at {:#x}, {:#x} bytes is not whole pages",
                at.value(), host.size());
  }
  const MutexLock lock(mutex_);
  SlotId id = 1;
  for (const auto& [used, slot] : slots_) {
    if (slot.range.overlaps(*range)) {
      return fail(ErrorKind::kInternal,
                  "Memory slot at {:#x}, {:#x} bytes overlaps slot {} at {:#x}", at.value(),
                  host.size(), used, slot.range.base().value());
    }
    if (used == id) {
      ++id;
    }
  }
  if (id >= max_slots_) {
    return fail(ErrorKind::kHost, "The host's KVM has no more than {} memory slots", max_slots_);
  }
  const Slot slot{*range, host.data(), access};
  TRY(set(id, slot, host.size()));
  slots_.emplace(id, slot);
  return id;
}

void MemorySlotTable::unmap(SlotId slot) {
  const MutexLock lock(mutex_);
  const auto found = slots_.find(slot);
  if (found == slots_.end()) {
    return;
  }
  if (const auto removed = set(slot, found->second, 0); !removed) {
    log::error("{}", removed.error().to_string());
  }
  slots_.erase(found);
}

std::size_t MemorySlotTable::count() const {
  const MutexLock lock(mutex_);
  return slots_.size();
}

void MemorySlotTable::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("count", std::uint64_t{slots_.size()});
  node.field("changes", changes());
  for (const auto& [id, slot] : slots_) {
    auto& child = node.child(fmt::format("slot_{}", id));
    child.hex("address", slot.range.base().value());
    child.hex("size", slot.range.size());
    child.field("read_only", slot.access == SlotAccess::kReadOnly);
  }
}

}  // namespace gpuvm
