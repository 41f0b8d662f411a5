// SPDX-License-Identifier: Apache-2.0
// Boot services for memory (UEFI 2.10, section 7.2) and the end of boot services (7.4.6).
#include "firmware/efi/boot_services.hpp"
#include "firmware/efi/firmware.hpp"
#include "firmware/efi/runtime.hpp"

namespace gpuvm::efi {
namespace {

EfiStatus GPUVM_EFIAPI allocate_pages(AllocateType how, MemoryType type, std::uint64_t pages,
                                      std::uint64_t* address) {
  return address == nullptr ? EfiStatus::kInvalidParameter
                            : firmware().memory.allocate(how, type, pages, *address);
}

EfiStatus GPUVM_EFIAPI free_pages(std::uint64_t address, std::uint64_t pages) {
  return firmware().memory.release(address, pages);
}

EfiStatus GPUVM_EFIAPI get_memory_map(std::uint64_t* size, void* map, std::uint64_t* key,
                                      std::uint64_t* descriptor_size,
                                      std::uint32_t* descriptor_version) {
  if (size == nullptr || (map == nullptr && *size != 0)) {
    return EfiStatus::kInvalidParameter;
  }
  if (descriptor_size != nullptr) {
    *descriptor_size = kDescriptorSize;
  }
  if (descriptor_version != nullptr) {
    *descriptor_version = kDescriptorVersion;
  }
  std::uint64_t current = 0;
  const EfiStatus status = firmware().memory.write_to(map, *size, current);
  if (status == EfiStatus::kSuccess && key != nullptr) {
    *key = current;
  }
  return status;
}

EfiStatus GPUVM_EFIAPI allocate_pool(MemoryType type, std::uint64_t size, void** buffer) {
  return buffer == nullptr ? EfiStatus::kInvalidParameter
                           : firmware().pools.allocate(type, size, *buffer);
}

EfiStatus GPUVM_EFIAPI free_pool(void* buffer) {
  return firmware().pools.release(buffer);
}

/// After this the system table has no boot services and no consoles any more (7.4.6).
EfiStatus GPUVM_EFIAPI exit_boot_services(Handle image, std::uint64_t key) {
  auto& state = firmware();
  if (image != state.image_handle || key != state.memory.key()) {
    return EfiStatus::kInvalidParameter;
  }
  state.exited = true;
  auto& system = runtime().system;
  system.console_in_handle = nullptr;
  system.console_in = nullptr;
  system.console_out_handle = nullptr;
  system.console_out = nullptr;
  system.error_handle = nullptr;
  system.error = nullptr;
  system.boot = nullptr;
  runtime().at_runtime = true;
  seal_tables();
  return EfiStatus::kSuccess;
}

}  // namespace

void fill_memory_services(BootServices& services) {
  services.allocate_pages = allocate_pages;
  services.free_pages = free_pages;
  services.get_memory_map = get_memory_map;
  services.allocate_pool = allocate_pool;
  services.free_pool = free_pool;
  services.exit_boot_services = exit_boot_services;
}

}  // namespace gpuvm::efi
