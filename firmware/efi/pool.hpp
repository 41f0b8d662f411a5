// SPDX-License-Identifier: Apache-2.0
// PoolAllocator: AllocatePool() and FreePool() over the pages of a MemoryMap, whose memory it
// writes to. Specification: UEFI 2.10, section 7.2.4: memory of the asked type, aligned to 8 bytes
// (here 16). Small pieces of one type share chunks of pages, so that the memory map stays short; a
// larger piece has pages of its own. Missing: chunks are not given back.
#pragma once

#include "firmware/efi/memory_map.hpp"

namespace gpuvm::efi {

class PoolAllocator {
 public:
  explicit PoolAllocator(MemoryMap& map) : map_(map) {}

  /// Errors: kInvalidParameter (a type that cannot be allocated), kOutOfResources.
  EfiStatus allocate(MemoryType type, std::uint64_t size, void*& buffer);
  /// A null pointer is harmless: Linux's stub does that. Errors: kInvalidParameter for anything
  /// that allocate() did not return, or that was given back already.
  EfiStatus release(void* buffer);

 private:
  struct Piece;
  EfiStatus add_chunk(MemoryType type);
  EfiStatus allocate_large(MemoryType type, std::uint64_t size, void*& buffer);
  Piece* take(MemoryType type, std::uint64_t size);

  MemoryMap& map_;
  Piece* free_ = nullptr;
};

}  // namespace gpuvm::efi
