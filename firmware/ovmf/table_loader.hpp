// SPDX-License-Identifier: Apache-2.0
// The ACPI tables as OVMF takes them from fw_cfg: two files without addresses and a list of
// commands by which the firmware allocates, links and checksums them (edk2,
// OvmfPkg/AcpiPlatformDxe/ QemuLoader.h: QEMU_LOADER_ENTRY). Missing: the command WritePointer, for
// devices that want to know where a file went.
#pragma once

#include <string_view>
#include <vector>

#include "firmware/acpi/acpi_blobs.hpp"

namespace gpuvm::ovmf {

inline constexpr std::string_view kRsdpFile = "etc/acpi/rsdp";
inline constexpr std::string_view kTablesFile = "etc/acpi/tables";
inline constexpr std::string_view kDataFile = "etc/acpi/gpuvm-data";  ///< absent when empty
inline constexpr std::string_view kLoaderFile = "etc/table-loader";

/// Contents of kLoaderFile for blobs of these pointers and checksums.
std::vector<std::byte> table_loader(const AcpiBlobs& blobs);

}  // namespace gpuvm::ovmf
