// SPDX-License-Identifier: Apache-2.0
// The first contents of the memory map: RAM, what the monitor reserves in it or beside it, the
// firmware, the kernel's image and the initrd.
#pragma once

#include "firmware/efi/machine_description.hpp"
#include "firmware/efi/memory_map.hpp"

namespace gpuvm::efi {

/// `own`: further pages in RAM that are in use. Regions count with every page that they touch. The
/// value is null, or what is wrong: ranges that overlap or lie outside of RAM where they may not.
const char* set_up_memory(const MachineDescription& machine, const TypedRegion* own,
                          std::size_t own_count, MemoryMap& map);

}  // namespace gpuvm::efi
