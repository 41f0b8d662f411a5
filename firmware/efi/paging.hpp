// SPDX-License-Identifier: Apache-2.0
// Paging: page tables that map all memory to itself, as UEFI 2.10 section 2.3.4 asks, and the
// memory attribute protocol over them (EFI_MEMORY_ATTRIBUTE_PROTOCOL, section 37.8). Pages are
// large (1 GiB where the CPU has them, else 2 MiB) and split where attributes differ inside one.
// Specification of the tables: Intel SDM volume 3, section 4.5. Missing: 5-level paging.
#pragma once

#include "firmware/efi/memory_map.hpp"
#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

class Paging {
 public:
  /// Builds tables for [0, end) out of pages of `map`. Errors: kOutOfResources.
  EfiStatus build(MemoryMap& map, std::uint64_t end, bool giant_pages);
  /// For CR3.
  std::uint64_t root() const { return root_; }

  /// Attributes (kMemoryReadProtect, kMemoryReadOnly, kMemoryExecuteProtect) that all pages of the
  /// range have. Errors: kInvalidParameter (unaligned or empty), kUnsupported (not mapped by us),
  /// kNoMapping when the pages differ.
  EfiStatus get(std::uint64_t base, std::uint64_t size, std::uint64_t& attributes) const;
  /// Sets or clears these attributes. Errors: as get(), and kOutOfResources for new tables.
  EfiStatus change(std::uint64_t base, std::uint64_t size, std::uint64_t attributes, bool set);
  /// Whether the CPU checks execute protection (EFER.NXE); without it, setting it is kUnsupported.
  void allow_execute_protection() { execute_protection_ = true; }

 private:
  std::uint64_t new_table();
  std::uint64_t* entry_of(std::uint64_t address, unsigned& level) const;
  bool split(std::uint64_t& entry, unsigned level);

  MemoryMap* map_ = nullptr;
  std::uint64_t root_ = 0;
  std::uint64_t end_ = 0;
  bool execute_protection_ = false;
};

/// The protocol over firmware().paging.
MemoryAttributeProtocol* memory_attribute_protocol();

}  // namespace gpuvm::efi
