// SPDX-License-Identifier: Apache-2.0
// RuntimeState: what of the firmware lives on beside the kernel: system table, configuration
// tables, runtime services and the variable store, in memory of type RuntimeServicesData. The
// services' code finds it relative to itself, so that it works at whatever address the kernel maps
// code and data, as long as both move by the same distance. Specification: UEFI 2.10, section 8.
// Missing: setting the time, wakeup times, capsules; kSupported says so.
#pragma once

#include "firmware/efi/machine_description.hpp"
#include "firmware/efi/uefi_tables.hpp"
#include "firmware/efi/variable_store.hpp"

namespace gpuvm::efi {

/// For EFI_RT_PROPERTIES: all that is more than a refusal.
constexpr std::uint32_t kSupportedRuntimeServices =
    kRtGetTime | kRtSetVirtualAddressMap | kRtGetVariable | kRtGetNextVariableName |
    kRtSetVariable | kRtResetSystem | kRtQueryVariableInfo;

struct RuntimeState {
  static constexpr std::size_t kTables = 24;

  SystemTable system;
  RuntimeServices services = {};
  ConfigurationTable tables[kTables];
  RtProperties properties;
  Region image;  ///< code and data of the firmware that stay
  std::uint16_t rtc_port = 0;
  std::uint16_t reset_port = 0;
  std::uint16_t pm1_control_port = 0;
  std::uint16_t soft_off_value = 0;
  std::uint16_t monitor_port = 0;
  std::uint8_t reset_value = 0;
  bool at_runtime = false;  ///< ExitBootServices() is over
  bool is_virtual = false;  ///< SetVirtualAddressMap() is over
};

/// The variable store's block; the image's header tells the monitor where it is.
// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): zeros
extern "C" std::uint8_t gpuvm_efi_variables[VariableStore::kBlockSize];

RuntimeState& runtime();
/// Before the first runtime(): a fresh state.
void create_runtime();

/// Fills tables and services; `image` is what stays of the firmware. Variables are taken from the
/// machine's region if they are sound.
void open_runtime(const MachineDescription& machine, Region image);
/// Adds, replaces or (table null) removes a configuration table (7.5.6). Errors: kInvalidParameter,
/// kNotFound, kOutOfResources.
EfiStatus install_table(const Guid& guid, void* table);
/// Checksums of the tables' headers, after a change.
void seal_tables();

}  // namespace gpuvm::efi
