// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/runtime_services.hpp"

#include <cstring>

#include "firmware/efi/cpu.hpp"
#include "firmware/efi/monitor_port.hpp"
#include "firmware/efi/ports.hpp"
#include "firmware/efi/runtime.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint64_t kOptionalPointer = 1;  // 8.4.2: a null pointer may stay null

EfiStatus GPUVM_EFIAPI get_time(Time* time, TimeCapabilities* capabilities) {
  if (time == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  if (!read_clock(runtime().rtc_port, *time)) {
    return EfiStatus::kDeviceError;
  }
  if (capabilities != nullptr) {
    *capabilities = {.resolution = 1, .accuracy = 50'000'000, .sets_to_zero = 0};
  }
  return EfiStatus::kSuccess;
}

EfiStatus save_variables() {
  const std::uint16_t port = runtime().monitor_port;
  if (port == 0) {
    return EfiStatus::kSuccess;
  }
  write_port8(port, static_cast<std::uint8_t>(MonitorCommand::kSaveVariables));
  const auto answer = static_cast<MonitorAnswer>(read_port8(port));
  return answer == MonitorAnswer::kDone ? EfiStatus::kSuccess : EfiStatus::kDeviceError;
}

EfiStatus GPUVM_EFIAPI get_variable(const Char16* name, const Guid* vendor,
                                    std::uint32_t* attributes, std::uint64_t* size, void* data) {
  return VariableStore(gpuvm_efi_variables)
      .get(name, vendor, attributes, size, data, runtime().at_runtime);
}

EfiStatus GPUVM_EFIAPI get_next_variable_name(std::uint64_t* size, Char16* name, Guid* vendor) {
  return VariableStore(gpuvm_efi_variables).next(size, name, vendor, runtime().at_runtime);
}

EfiStatus GPUVM_EFIAPI set_variable(const Char16* name, const Guid* vendor,
                                    std::uint32_t attributes, std::uint64_t size,
                                    const void* data) {
  bool changed = false;
  const EfiStatus status =
      VariableStore(gpuvm_efi_variables)
          .set(name, vendor, attributes, size, data, runtime().at_runtime, changed);
  return changed ? save_variables() : status;
}

/// 8.2.4; one store serves every kind of variable.
EfiStatus GPUVM_EFIAPI query_variable_info(std::uint32_t attributes, std::uint64_t* maximum,
                                           std::uint64_t* remaining, std::uint64_t* largest) {
  constexpr std::uint32_t kPlain =
      kVariableNonVolatile | kVariableBootAccess | kVariableRuntimeAccess;
  if (maximum == nullptr || remaining == nullptr || largest == nullptr || attributes == 0 ||
      (attributes & (kVariableBootAccess | kVariableRuntimeAccess)) == kVariableRuntimeAccess) {
    return EfiStatus::kInvalidParameter;
  }
  if ((attributes & ~kPlain) != 0) {
    return EfiStatus::kUnsupported;
  }
  *maximum = VariableStore::kBlockSize;
  *remaining = VariableStore(gpuvm_efi_variables).room();
  *largest = VariableStore::kLargest;
  return EfiStatus::kSuccess;
}

void GPUVM_EFIAPI reset_system(ResetType type, EfiStatus, std::uint64_t, const void*) {
  const auto& state = runtime();
  if (type == ResetType::kShutdown) {
    write_port16(state.pm1_control_port, state.soft_off_value);
  } else {
    // The reset bit acts when it rises.
    write_port8(state.reset_port, 0);
    write_port8(state.reset_port, state.reset_value);
  }
  halt();
}

template <class Pointer>
void move(Pointer*& pointer, std::uint64_t displacement) {
  if (pointer != nullptr) {
    pointer = reinterpret_cast<Pointer*>(reinterpret_cast<std::uint64_t>(pointer) + displacement);
  }
}

/// By how much the map moves an address; false when no runtime region of the map holds it.
bool displacement_of(std::uint64_t address, std::uint64_t map_size, std::uint64_t step,
                     const std::uint8_t* map, std::uint64_t& displacement) {
  for (std::uint64_t at = 0; at + sizeof(MemoryDescriptor) <= map_size; at += step) {
    MemoryDescriptor entry;
    std::memcpy(&entry, map + at, sizeof entry);
    if ((entry.attributes & kMemoryRuntime) != 0 && address >= entry.physical_start &&
        (address - entry.physical_start) >> kEfiPageShift < entry.pages) {
      displacement = entry.virtual_start - entry.physical_start;
      return true;
    }
  }
  return false;
}

void move_tables(RuntimeState& state, std::uint64_t by) {
  auto& services = state.services;
  move(services.get_time, by);
  move(services.set_time, by);
  move(services.get_wakeup_time, by);
  move(services.set_wakeup_time, by);
  move(services.set_virtual_address_map, by);
  move(services.convert_pointer, by);
  move(services.get_variable, by);
  move(services.get_next_variable_name, by);
  move(services.set_variable, by);
  move(services.get_next_high_monotonic_count, by);
  move(services.reset_system, by);
  move(services.update_capsule, by);
  move(services.query_capsule_capabilities, by);
  move(services.query_variable_info, by);
  move(state.system.vendor, by);
  move(state.system.runtime, by);
  move(state.system.tables, by);
}

/// 8.4.1. Called at the old addresses, with the new ones mapped too. Code and data refer to each
/// other by distance, so both must move alike.
EfiStatus GPUVM_EFIAPI set_virtual_address_map(std::uint64_t map_size,
                                               std::uint64_t descriptor_size, std::uint32_t version,
                                               const void* map) {
  auto& state = runtime();
  if (!state.at_runtime || state.is_virtual) {
    return EfiStatus::kUnsupported;
  }
  if (map == nullptr || version != kDescriptorVersion ||
      descriptor_size < sizeof(MemoryDescriptor)) {
    return EfiStatus::kInvalidParameter;
  }
  const auto* bytes = static_cast<const std::uint8_t*>(map);
  std::uint64_t first = 0;
  for (std::uint64_t at = 0; at < state.image.size; at += kEfiPageSize) {
    std::uint64_t by = 0;
    if (!displacement_of(state.image.base + at, map_size, descriptor_size, bytes, by)) {
      return EfiStatus::kNotFound;
    }
    if (at != 0 && by != first) {
      return EfiStatus::kInvalidParameter;
    }
    first = by;
  }
  move_tables(state, first);
  seal_tables();
  state.is_virtual = true;
  return EfiStatus::kSuccess;
}

/// 8.4.2: for drivers that move themselves while the map is being set; there are none here, and
/// outside of that moment the service has nothing to go by.
EfiStatus GPUVM_EFIAPI convert_pointer(std::uint64_t disposition, void** address) {
  if (address == nullptr || (*address == nullptr && (disposition & kOptionalPointer) == 0)) {
    return EfiStatus::kInvalidParameter;
  }
  return *address == nullptr ? EfiStatus::kSuccess : EfiStatus::kUnsupported;
}

}  // namespace

void fill_runtime_services(RuntimeServices& services) {
  services = {.header = {},
              .get_time = get_time,
              .set_time = unsupported,
              .get_wakeup_time = unsupported,
              .set_wakeup_time = unsupported,
              .set_virtual_address_map = set_virtual_address_map,
              .convert_pointer = convert_pointer,
              .get_variable = get_variable,
              .get_next_variable_name = get_next_variable_name,
              .set_variable = set_variable,
              .get_next_high_monotonic_count = unsupported,
              .reset_system = reset_system,
              .update_capsule = unsupported,
              .query_capsule_capabilities = unsupported,
              .query_variable_info = query_variable_info};
}

}  // namespace gpuvm::efi
