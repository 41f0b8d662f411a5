// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/memory_setup.hpp"

namespace gpuvm::efi {
namespace {

std::uint64_t first_page(const Region& region) {
  return region.base & ~(kEfiPageSize - 1);
}

std::uint64_t pages_of(const Region& region) {
  return (region.base + region.size - first_page(region) + kEfiPageSize - 1) >> kEfiPageShift;
}

/// Takes pages out of free RAM; regions outside of RAM are described as they are.
bool take(MemoryMap& map, const Region& region, MemoryType type) {
  if (region.size == 0 || region.size > ~region.base) {
    return region.size == 0;
  }
  std::uint64_t base = first_page(region);
  if (map.type_at(base) == MemoryType::kLimit) {
    return map.add(type, base, pages_of(region)) == EfiStatus::kSuccess;
  }
  return map.allocate(AllocateType::kAddress, type, pages_of(region), base) == EfiStatus::kSuccess;
}

}  // namespace

const char* set_up_memory(const MachineDescription& machine, const TypedRegion* own,
                          std::size_t own_count, MemoryMap& map) {
  for (std::size_t i = 0; i < machine.ram_count; ++i) {
    const Region& ram = machine.ram[i];
    if (map.add(MemoryType::kConventional, ram.base, ram.size >> kEfiPageShift) !=
        EfiStatus::kSuccess) {
      return "RAM ranges overlap or are not whole pages";
    }
  }
  for (std::size_t i = 0; i < machine.specific_count; ++i) {
    const Region& region = machine.specific[i];
    if (map.add(MemoryMap::kSpecificPurpose, region.base, region.size >> kEfiPageShift) !=
        EfiStatus::kSuccess) {
      return "memory of a device overlaps another range";
    }
  }
  for (std::size_t i = 0; i < machine.reserved_count; ++i) {
    if (!take(map, machine.reserved[i].region, machine.reserved[i].type)) {
      return "a reserved range overlaps another";
    }
  }
  for (std::size_t i = 0; i < own_count; ++i) {
    if (!take(map, own[i].region, own[i].type)) {
      return "the firmware's own pages are in use";
    }
  }
  if (!take(map, machine.kernel.image, MemoryType::kLoaderCode)) {
    return "the kernel's pages are in use";
  }
  if (!take(map, machine.initrd, MemoryType::kLoaderData)) {
    return "the initrd's pages are in use";
  }
  return nullptr;
}

}  // namespace gpuvm::efi
