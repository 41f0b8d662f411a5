// SPDX-License-Identifier: Apache-2.0
// The runtime services themselves (UEFI 2.10, section 8).
#pragma once

#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

void fill_runtime_services(RuntimeServices& services);

/// The time of an MC146818 clock at `port` and the port after it; false when it does not answer or
/// holds no time. Binary or BCD, 12 or 24 hours, as its register B says.
bool read_clock(std::uint16_t port, Time& time);

}  // namespace gpuvm::efi
