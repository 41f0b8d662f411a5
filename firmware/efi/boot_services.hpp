// SPDX-License-Identifier: Apache-2.0
// The boot services' table. What Linux's stub does not call, and what only drivers need, answers
// kUnsupported (events, timers, image loading).
#pragma once

#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

void fill_boot_services(BootServices& services);
// Its parts, one file each.
void fill_memory_services(BootServices& services);
void fill_protocol_services(BootServices& services);

}  // namespace gpuvm::efi
