// SPDX-License-Identifier: Apache-2.0
// Starting the kernel that the monitor has put into memory, by the EFI handover protocol
// (Documentation/arch/x86/boot.rst, "EFI Handover Protocol") or as a PE application (UEFI 2.10,
// section 2.1.2), whichever the kernel has; and its initrd.
#pragma once

namespace gpuvm::efi {

/// Does not come back unless the kernel does, with what went wrong.
const char* start_kernel();

}  // namespace gpuvm::efi
