// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/runtime.hpp"

#include <cstring>
#include <new>

#include "firmware/efi/runtime_services.hpp"

namespace gpuvm::efi {

alignas(8) std::uint8_t gpuvm_efi_variables[VariableStore::kBlockSize];

namespace {

constexpr std::uint32_t kFirmwareRevision = 1;
constexpr Char16 kVendor[] = u"gpuvm EFI";

/// Raw, so that it is not part of the firmware's file.
alignas(RuntimeState) std::uint8_t runtime_storage[sizeof(RuntimeState)];

template <class Table>
void seal(Table& table) {
  table.header.crc32 = 0;
  table.header.crc32 = crc32(&table, table.header.size);
}

void take_variables(const Region& region) {
  VariableStore store(gpuvm_efi_variables);
  store.format();
  const auto* block = reinterpret_cast<const void*>(region.base);
  if (region.size != 0 && region.size <= sizeof gpuvm_efi_variables &&
      VariableStore::check(block, region.size) == nullptr) {
    std::memcpy(gpuvm_efi_variables, block, region.size);
    store.drop_volatile();
  }
}

}  // namespace

RuntimeState& runtime() {
  return *reinterpret_cast<RuntimeState*>(runtime_storage);
}

void create_runtime() {
  new (runtime_storage) RuntimeState();
}

void seal_tables() {
  seal(runtime().system);
  seal(runtime().services);
}

void open_runtime(const MachineDescription& machine, Region image) {
  auto& state = runtime();
  state.image = image;
  state.rtc_port = machine.rtc_port;
  state.reset_port = machine.reset_port;
  state.reset_value = machine.reset_value;
  state.pm1_control_port = machine.pm1_control_port;
  state.soft_off_value = machine.soft_off_value;
  state.monitor_port = machine.monitor_port;
  take_variables(machine.variables);
  fill_runtime_services(state.services);
  state.services.header = {.signature = kRuntimeServicesSignature,
                           .revision = kUefiRevision,
                           .size = sizeof(RuntimeServices)};
  state.system.header = {
      .signature = kSystemTableSignature, .revision = kUefiRevision, .size = sizeof(SystemTable)};
  state.system.vendor = kVendor;
  state.system.revision = kFirmwareRevision;
  state.system.runtime = &state.services;
  state.system.tables = state.tables;
  state.properties.supported = kSupportedRuntimeServices;
  install_table(guids::kRtProperties, &state.properties);
  seal_tables();
}

EfiStatus install_table(const Guid& guid, void* table) {
  auto& state = runtime();
  auto& count = state.system.table_count;
  std::uint64_t index = 0;
  while (index < count && !(state.tables[index].guid == guid)) {
    ++index;
  }
  if (table == nullptr) {
    if (index == count) {
      return EfiStatus::kNotFound;
    }
    state.tables[index] = state.tables[--count];
  } else {
    if (index == RuntimeState::kTables) {
      return EfiStatus::kOutOfResources;
    }
    state.tables[index] = {guid, table};
    count = index == count ? count + 1 : count;
  }
  seal_tables();
  return EfiStatus::kSuccess;
}

}  // namespace gpuvm::efi
