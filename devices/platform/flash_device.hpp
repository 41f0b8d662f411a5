// SPDX-License-Identifier: Apache-2.0
// FlashDevice: a CfiFlash in the guest's address space. The guest reads it as memory (a read-only
// slot, no exits); its writes exit to here. While the chip shows its status register the slot is
// away and reads exit too.
#pragma once

#include <memory>

#include "devices/platform/cfi_flash.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"
#include "vmm/bus/memory_slots.hpp"

namespace gpuvm {

class FlashDevice : public IoHandler, public Resettable, public Inspectable {
 public:
  /// `contents`: whole pages. `at`: where the guest sees it; the caller puts this on the MMIO bus
  /// there. Slots and store must outlive this. Errors: kInternal, kHost (memory, slots).
  static Result<std::unique_ptr<FlashDevice>> create(std::span<const std::byte> contents,
                                                     GuestAddress at, FlashStore& store,
                                                     MemorySlots& slots);
  ~FlashDevice() override;

  std::string_view name() const override { return "Flash"; }
  /// Any size.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  /// Bytes only, the chip's width.
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// Survives: the contents.
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  FlashDevice(MappedRegion array, GuestAddress at, FlashStore& store, MemorySlots& slots);
  Status show() GPUVM_REQUIRES(mutex_);

  const MappedRegion array_;
  const GuestAddress at_;
  MemorySlots& slots_;
  log::RateLimit limit_;
  mutable Mutex mutex_;  ///< also for writes to array_
  CfiFlash chip_ GPUVM_GUARDED_BY(mutex_);
  SlotId slot_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< 0 while the chip does not show its array
};

}  // namespace gpuvm
