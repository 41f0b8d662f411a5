// SPDX-License-Identifier: Apache-2.0
// MemoryMap: which physical pages are what, and the page allocator over it. Pure: it never touches
// the memory that it describes. Specification: UEFI 2.10, section 7.2 (AllocatePages, FreePages,
// GetMemoryMap). Missing: memory that was not accepted yet, persistent memory.
#pragma once

#include "firmware/efi/uefi_types.hpp"

namespace gpuvm::efi {

class MemoryMap {
 public:
  /// In the map until it is written: kConventional with EFI_MEMORY_SP, which is handed out to
  /// nobody (7.2.3).
  static constexpr MemoryType kSpecificPurpose = static_cast<MemoryType>(0x6fff'ffff);
  /// Descriptors that fit; a boot of Linux uses about 30.
  static constexpr std::size_t kCapacity = 512;

  /// Describes pages that nothing describes yet. Errors: kInvalidParameter (empty, unaligned, past
  /// the end of the address space, overlapping), kOutOfResources (map full).
  EfiStatus add(MemoryType type, std::uint64_t base, std::uint64_t pages);

  /// AllocatePages(): kAnyPages takes the highest free place below 4 GiB, and only if there is none
  /// the highest above; kMaxAddress the highest whose last byte is at most `address`; kAddress
  /// exactly `address`. Page 0 is only given to who asks for it. Errors: kInvalidParameter,
  /// kOutOfResources, kNotFound (no such pages).
  EfiStatus allocate(AllocateType how, MemoryType type, std::uint64_t pages,
                     std::uint64_t& address);
  /// FreePages(). Errors: kInvalidParameter (unaligned, no pages), kNotFound (a page that is not
  /// allocated: free already, or no memory that can be freed).
  EfiStatus release(std::uint64_t address, std::uint64_t pages);

  /// GetMemoryMap(): `size` bytes are at `out`; afterwards it is what the map takes, also for
  /// kBufferTooSmall. `out` may be null when size is 0. Errors: kBufferTooSmall.
  EfiStatus write_to(void* out, std::uint64_t& size, std::uint64_t& key) const;

  /// Changes with every change of the map.
  std::uint64_t key() const { return key_; }
  std::size_t count() const { return count_; }
  const MemoryDescriptor& at(std::size_t index) const { return entries_[index]; }
  /// What the page that holds `address` is, or kLimit when nothing describes it.
  MemoryType type_at(std::uint64_t address) const;
  /// One past the last byte of RAM that is for any purpose.
  std::uint64_t end_of_ram() const;

 private:
  using Predicate = bool (*)(MemoryType type);

  std::size_t first_ending_after(std::uint64_t address) const;
  bool covered(std::uint64_t base, std::uint64_t end, Predicate predicate) const;
  EfiStatus retype(std::uint64_t base, std::uint64_t end, MemoryType type);
  bool split(std::uint64_t at);
  void merge();
  void insert(std::size_t index, const MemoryDescriptor& entry);
  bool find_highest(std::uint64_t pages, std::uint64_t limit, std::uint64_t& address) const;

  MemoryDescriptor entries_[kCapacity] = {};  ///< by address, without overlaps
  std::size_t count_ = 0;
  std::uint64_t key_ = 1;
};

}  // namespace gpuvm::efi
