// SPDX-License-Identifier: Apache-2.0
// Which of OVMF's files is which: CODE (the firmware itself) or VARS (its variables), by the header
// of the firmware volume at the start (UEFI Platform Initialization 1.7, volume 3, 3.2.1,
// EFI_FIRMWARE_VOLUME_HEADER).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm::ovmf {

enum class VolumeKind {
  kNone,       ///< no firmware volume
  kCode,       ///< a volume of firmware files
  kVariables,  ///< EFI_SYSTEM_NV_DATA_FV_GUID: a variable store, and nothing behind it
  kWhole,      ///< variables with code behind them, in one file
};

/// Looks at the first header only.
VolumeKind kind_of(std::span<const std::byte> file);

/// "sound", or what is wrong with a variable volume's headers as the firmware checks them before it
/// uses the volume: signature, length, checksum, and the store inside.
const char* examine_variables(std::span<const std::byte> file);

/// A file's name and contents, for messages.
struct FirmwareFile {
  std::string path;
  std::span<const std::byte> bytes;
};

/// Where CODE and VARS go: CODE ends at 4 GiB, VARS ends where CODE starts.
struct FlashLayout {
  GuestRange code;
  GuestRange variables;
};

/// Checks that this is a CODE file. Errors: kConfig naming the file, what it is, and the cure.
Status check_code(const FirmwareFile& code);
/// The same for VARS. key: as the configuration calls the file ("boot.vars").
Status check_variables(const FirmwareFile& variables, const char* key);
/// Checks that the two go together: a build has one size for both. Errors: kConfig.
Result<FlashLayout> place(const FirmwareFile& code, const FirmwareFile& variables);

}  // namespace gpuvm::ovmf
