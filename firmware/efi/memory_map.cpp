// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/memory_map.hpp"

#include <cstring>

namespace gpuvm::efi {
namespace {

constexpr std::uint64_t kMaxPages = std::uint64_t{1} << (64 - kEfiPageShift);

std::uint64_t end_of(const MemoryDescriptor& entry) {
  return entry.physical_start + (entry.pages << kEfiPageShift);
}

MemoryType type_of(const MemoryDescriptor& entry) {
  return static_cast<MemoryType>(entry.type);
}

std::uint64_t attributes_of(MemoryType type) {
  if (type == MemoryMap::kSpecificPurpose) {
    return kRamAttributes | kMemorySpecific;
  }
  switch (type) {
    case MemoryType::kRuntimeServicesCode:
    case MemoryType::kRuntimeServicesData:
      return kRamAttributes | kMemoryRuntime;
    case MemoryType::kMappedIo:
    case MemoryType::kMappedIoPorts:
    case MemoryType::kReserved:
      return kMemoryUc;
    default:
      return kRamAttributes;
  }
}

/// 7.2.1: what may be asked for: not the types that only describe.
bool can_allocate(MemoryType type) {
  const auto value = static_cast<std::uint32_t>(type);
  return value >= kFirstOemMemoryType ||
         (value < static_cast<std::uint32_t>(MemoryType::kPersistent) &&
          type != MemoryType::kConventional);
}

bool is_free(MemoryType type) {
  return type == MemoryType::kConventional;
}

/// Everything that allocate() hands out.
bool is_allocated(MemoryType type) {
  return can_allocate(type) && type != MemoryType::kMappedIo &&
         type != MemoryType::kMappedIoPorts && type != MemoryType::kUnusable;
}

bool is_ram(const MemoryDescriptor& entry) {
  return (entry.attributes & (kMemoryWb | kMemorySpecific)) == kMemoryWb;
}

bool fits(std::uint64_t base, std::uint64_t pages) {
  return pages != 0 && base % kEfiPageSize == 0 && pages < kMaxPages &&
         (pages << kEfiPageShift) <= ~base;
}

}  // namespace

std::size_t MemoryMap::first_ending_after(std::uint64_t address) const {
  std::size_t index = 0;
  while (index < count_ && end_of(entries_[index]) <= address) {
    ++index;
  }
  return index;
}

void MemoryMap::insert(std::size_t index, const MemoryDescriptor& entry) {
  for (std::size_t i = count_; i > index; --i) {
    entries_[i] = entries_[i - 1];
  }
  entries_[index] = entry;
  ++count_;
}

/// Joins neighbours that say the same.
void MemoryMap::merge() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    MemoryDescriptor& last = entries_[kept == 0 ? 0 : kept - 1];
    const MemoryDescriptor entry = entries_[i];
    if (kept != 0 && end_of(last) == entry.physical_start && last.type == entry.type &&
        last.attributes == entry.attributes) {
      last.pages += entry.pages;
    } else {
      entries_[kept++] = entry;
    }
  }
  count_ = kept;
}

EfiStatus MemoryMap::add(MemoryType type, std::uint64_t base, std::uint64_t pages) {
  if (!fits(base, pages)) {
    return EfiStatus::kInvalidParameter;
  }
  const std::size_t next = first_ending_after(base);
  if (next < count_ && entries_[next].physical_start < base + (pages << kEfiPageShift)) {
    return EfiStatus::kInvalidParameter;
  }
  if (count_ == kCapacity) {
    return EfiStatus::kOutOfResources;
  }
  insert(next, {.type = static_cast<std::uint32_t>(type),
                .physical_start = base,
                .pages = pages,
                .attributes = attributes_of(type)});
  merge();
  ++key_;
  return EfiStatus::kSuccess;
}

/// Makes `at` a border between two entries if it lies inside one; false when the map is full.
bool MemoryMap::split(std::uint64_t at) {
  const std::size_t index = first_ending_after(at);
  if (index == count_ || entries_[index].physical_start >= at) {
    return true;
  }
  if (count_ == kCapacity) {
    return false;
  }
  MemoryDescriptor upper = entries_[index];
  const std::uint64_t lower_pages = (at - upper.physical_start) >> kEfiPageShift;
  upper.physical_start = at;
  upper.pages -= lower_pages;
  entries_[index].pages = lower_pages;
  insert(index + 1, upper);
  return true;
}

bool MemoryMap::covered(std::uint64_t base, std::uint64_t end, Predicate predicate) const {
  std::uint64_t reached = base;
  for (std::size_t i = first_ending_after(base); i < count_ && reached < end; ++i) {
    if (entries_[i].physical_start > reached || !predicate(type_of(entries_[i]))) {
      return false;
    }
    reached = end_of(entries_[i]);
  }
  return reached >= end;
}

EfiStatus MemoryMap::retype(std::uint64_t base, std::uint64_t end, MemoryType type) {
  if (!split(base) || !split(end)) {
    merge();
    return EfiStatus::kOutOfResources;
  }
  for (std::size_t i = first_ending_after(base); i < count_ && entries_[i].physical_start < end;
       ++i) {
    entries_[i].type = static_cast<std::uint32_t>(type);
    entries_[i].attributes = attributes_of(type);
  }
  merge();
  ++key_;
  return EfiStatus::kSuccess;
}

/// The highest free place for `pages` that ends at or below `limit`.
bool MemoryMap::find_highest(std::uint64_t pages, std::uint64_t limit,
                             std::uint64_t& address) const {
  const std::uint64_t size = pages << kEfiPageShift;
  for (std::size_t i = count_; i-- > 0;) {
    const std::uint64_t start =
        entries_[i].physical_start == 0 ? kEfiPageSize : entries_[i].physical_start;
    const std::uint64_t end = end_of(entries_[i]) < limit ? end_of(entries_[i]) : limit;
    if (is_free(type_of(entries_[i])) && start < end && size <= end - start) {
      address = (end - size) & ~(kEfiPageSize - 1);
      if (address >= start) {
        return true;
      }
    }
  }
  return false;
}

EfiStatus MemoryMap::allocate(AllocateType how, MemoryType type, std::uint64_t pages,
                              std::uint64_t& address) {
  if (!can_allocate(type) || pages == 0) {
    return EfiStatus::kInvalidParameter;
  }
  if (pages >= kMaxPages) {
    return how == AllocateType::kAnyPages ? EfiStatus::kOutOfResources : EfiStatus::kNotFound;
  }
  std::uint64_t place = address;
  switch (how) {
    case AllocateType::kAnyPages:
      if (!find_highest(pages, kFourGiB, place) && !find_highest(pages, ~std::uint64_t{0}, place)) {
        return EfiStatus::kOutOfResources;
      }
      break;
    case AllocateType::kMaxAddress:
      if (!find_highest(pages, address == ~std::uint64_t{0} ? address : address + 1, place)) {
        return EfiStatus::kNotFound;
      }
      break;
    case AllocateType::kAddress:
      if (address % kEfiPageSize != 0) {
        return EfiStatus::kInvalidParameter;
      }
      if (!fits(address, pages) || !covered(address, address + (pages << kEfiPageShift), is_free)) {
        return EfiStatus::kNotFound;
      }
      break;
    default:
      return EfiStatus::kInvalidParameter;
  }
  const EfiStatus status = retype(place, place + (pages << kEfiPageShift), type);
  if (status == EfiStatus::kSuccess) {
    address = place;
  }
  return status;
}

EfiStatus MemoryMap::release(std::uint64_t address, std::uint64_t pages) {
  if (address % kEfiPageSize != 0 || pages == 0) {
    return EfiStatus::kInvalidParameter;
  }
  if (!fits(address, pages)) {
    return EfiStatus::kNotFound;
  }
  const std::uint64_t end = address + (pages << kEfiPageShift);
  if (!covered(address, end, is_allocated)) {
    return EfiStatus::kNotFound;
  }
  return retype(address, end, MemoryType::kConventional);
}

EfiStatus MemoryMap::write_to(void* out, std::uint64_t& size, std::uint64_t& key) const {
  const std::uint64_t needed = count_ * kDescriptorSize;
  if (size < needed) {
    size = needed;
    return EfiStatus::kBufferTooSmall;
  }
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (std::size_t i = 0; i < count_; ++i) {
    std::memset(bytes + i * kDescriptorSize, 0, kDescriptorSize);
    MemoryDescriptor entry = entries_[i];
    if (type_of(entry) == kSpecificPurpose) {
      entry.type = static_cast<std::uint32_t>(MemoryType::kConventional);
    }
    std::memcpy(bytes + i * kDescriptorSize, &entry, sizeof entry);
  }
  size = needed;
  key = key_;
  return EfiStatus::kSuccess;
}

MemoryType MemoryMap::type_at(std::uint64_t address) const {
  const std::size_t index = first_ending_after(address);
  const bool described = index < count_ && entries_[index].physical_start <= address;
  return described ? type_of(entries_[index]) : MemoryType::kLimit;
}

std::uint64_t MemoryMap::end_of_ram() const {
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    end = is_ram(entries_[i]) ? end_of(entries_[i]) : end;
  }
  return end;
}

}  // namespace gpuvm::efi
