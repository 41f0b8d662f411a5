// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/paging.hpp"

#include <cstring>

#include "firmware/efi/cpu.hpp"
#include "firmware/efi/firmware.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kWritable = 2;
constexpr std::uint64_t kLarge = 0x80;
constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
constexpr std::uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
constexpr std::uint64_t kEntries = 512;
constexpr std::uint64_t kKnown = kMemoryReadProtect | kMemoryReadOnly | kMemoryExecuteProtect;

/// Bytes that an entry of this level covers: 1 for 4 KiB pages, 2 for 2 MiB, 3 for 1 GiB, 4.
constexpr std::uint64_t coverage(unsigned level) {
  return kEfiPageSize << 9 * (level - 1);
}

std::uint64_t* table_at(std::uint64_t entry) {
  return reinterpret_cast<std::uint64_t*>(entry & kAddressMask);
}

std::uint64_t attributes_of(std::uint64_t entry) {
  return ((entry & kPresent) == 0 ? kMemoryReadProtect : 0) |
         ((entry & kWritable) == 0 ? kMemoryReadOnly : 0) |
         ((entry & kNoExecute) != 0 ? kMemoryExecuteProtect : 0);
}

std::uint64_t with_attributes(std::uint64_t entry, std::uint64_t attributes) {
  entry &= ~(kPresent | kWritable | kNoExecute);
  return entry | ((attributes & kMemoryReadProtect) == 0 ? kPresent : 0) |
         ((attributes & kMemoryReadOnly) == 0 ? kWritable : 0) |
         ((attributes & kMemoryExecuteProtect) != 0 ? kNoExecute : 0);
}

EfiStatus GPUVM_EFIAPI get_attributes(MemoryAttributeProtocol*, std::uint64_t base,
                                      std::uint64_t size, std::uint64_t* attributes) {
  return attributes == nullptr ? EfiStatus::kInvalidParameter
                               : firmware().paging.get(base, size, *attributes);
}

EfiStatus change_attributes(std::uint64_t base, std::uint64_t size, std::uint64_t attributes,
                            bool set) {
  const EfiStatus status = firmware().paging.change(base, size, attributes, set);
  if (status == EfiStatus::kSuccess) {
    flush_translations();
  }
  return status;
}

EfiStatus GPUVM_EFIAPI set_attributes(MemoryAttributeProtocol*, std::uint64_t base,
                                      std::uint64_t size, std::uint64_t attributes) {
  return change_attributes(base, size, attributes, true);
}

EfiStatus GPUVM_EFIAPI clear_attributes(MemoryAttributeProtocol*, std::uint64_t base,
                                        std::uint64_t size, std::uint64_t attributes) {
  return change_attributes(base, size, attributes, false);
}

}  // namespace

/// A cleared page, or 0.
std::uint64_t Paging::new_table() {
  std::uint64_t address = kFourGiB - 1;
  if (map_->allocate(AllocateType::kMaxAddress, MemoryType::kBootServicesData, 1, address) !=
      EfiStatus::kSuccess) {
    return 0;
  }
  std::memset(reinterpret_cast<void*>(address), 0, kEfiPageSize);
  return address;
}

EfiStatus Paging::build(MemoryMap& map, std::uint64_t end, bool giant_pages) {
  map_ = &map;
  root_ = new_table();
  end_ = end;
  if (root_ == 0) {
    return EfiStatus::kOutOfResources;
  }
  const unsigned leaf = giant_pages ? 3 : 2;
  for (std::uint64_t at = 0; at < end; at += coverage(leaf)) {
    std::uint64_t table = root_;
    for (unsigned level = 4; level > leaf; --level) {
      std::uint64_t& entry = table_at(table)[at / coverage(level) % kEntries];
      if (entry == 0) {
        const std::uint64_t next = new_table();
        if (next == 0) {
          return EfiStatus::kOutOfResources;
        }
        entry = next | kPresent | kWritable;
      }
      table = entry;
    }
    table_at(table)[at / coverage(leaf) % kEntries] = at | kPresent | kWritable | kLarge;
  }
  return EfiStatus::kSuccess;
}

/// The leaf that maps `address`; null outside of what build() mapped.
std::uint64_t* Paging::entry_of(std::uint64_t address, unsigned& level) const {
  if (address >= end_) {
    return nullptr;
  }
  std::uint64_t table = root_;
  for (level = 4;; --level) {
    std::uint64_t& entry = table_at(table)[address / coverage(level) % kEntries];
    if (level == 1 || (entry & kLarge) != 0) {
      return &entry;
    }
    if (entry == 0) {
      return nullptr;
    }
    table = entry;
  }
}

/// A large page becomes a table of the next smaller ones with the same attributes.
bool Paging::split(std::uint64_t& entry, unsigned level) {
  const std::uint64_t table = new_table();
  if (table == 0) {
    return false;
  }
  const std::uint64_t step = coverage(level - 1);
  const std::uint64_t flags = (entry & ~kAddressMask) & (level == 2 ? ~kLarge : ~std::uint64_t{0});
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    table_at(table)[i] = ((entry & kAddressMask) + i * step) | flags;
  }
  entry = table | kPresent | kWritable;
  return true;
}

EfiStatus Paging::get(std::uint64_t base, std::uint64_t size, std::uint64_t& attributes) const {
  if (base % kEfiPageSize != 0 || size % kEfiPageSize != 0 || size == 0) {
    return EfiStatus::kInvalidParameter;
  }
  if (size > end_ || base > end_ - size) {
    return EfiStatus::kUnsupported;
  }
  for (std::uint64_t at = base; at < base + size;) {
    unsigned level = 0;
    const std::uint64_t* entry = entry_of(at, level);
    if (entry == nullptr) {
      return EfiStatus::kUnsupported;
    }
    if (at != base && attributes_of(*entry) != attributes) {
      return EfiStatus::kNoMapping;
    }
    attributes = attributes_of(*entry);
    at = (at / coverage(level) + 1) * coverage(level);
  }
  return EfiStatus::kSuccess;
}

EfiStatus Paging::change(std::uint64_t base, std::uint64_t size, std::uint64_t attributes,
                         bool set) {
  if (base % kEfiPageSize != 0 || size % kEfiPageSize != 0 || size == 0 || attributes == 0 ||
      (attributes & ~kKnown) != 0) {
    return EfiStatus::kInvalidParameter;
  }
  if (size > end_ || base > end_ - size ||
      (set && (attributes & kMemoryExecuteProtect) != 0 && !execute_protection_)) {
    return EfiStatus::kUnsupported;
  }
  for (std::uint64_t at = base; at < base + size;) {
    unsigned level = 0;
    std::uint64_t* entry = entry_of(at, level);
    if (entry == nullptr) {
      return EfiStatus::kUnsupported;
    }
    const std::uint64_t old = attributes_of(*entry);
    const std::uint64_t wanted = set ? old | attributes : old & ~attributes;
    const std::uint64_t step = coverage(level);
    const bool whole = at % step == 0 && base + size - at >= step;
    if (wanted != old && !whole) {
      if (!split(*entry, level)) {
        return EfiStatus::kOutOfResources;
      }
      continue;  // once more, one level down
    }
    *entry = with_attributes(*entry, wanted);
    at = (at / step + 1) * step;
  }
  return EfiStatus::kSuccess;
}

MemoryAttributeProtocol* memory_attribute_protocol() {
  static MemoryAttributeProtocol protocol{
      .get = get_attributes, .set = set_attributes, .clear = clear_attributes};
  return &protocol;
}

}  // namespace gpuvm::efi
