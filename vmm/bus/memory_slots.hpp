// SPDX-License-Identifier: Apache-2.0
// What devices need of the guest's address space: host memory that the guest reaches without an
// exit. The kvm room implements it; tests fake it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

enum class SlotAccess {
  kReadWrite,
  kReadOnly,  ///< guest writes exit as MMIO
};

/// Identifies a slot; 0 is no slot.
using SlotId = std::uint32_t;

class MemorySlots {
 public:
  virtual ~MemorySlots() = default;
  /// Maps page-aligned host memory at a page-aligned guest address. The memory must stay mapped
  /// until unmap(). Errors: kInternal (overlap, alignment), kHost (out of slots). Any thread.
  virtual Result<SlotId> map(GuestAddress at, std::span<std::byte> host, SlotAccess access) = 0;
  /// No vCPU reaches the memory after this returns. Any thread.
  virtual void unmap(SlotId slot) = 0;
};

}  // namespace gpuvm
