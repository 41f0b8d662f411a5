// SPDX-License-Identifier: Apache-2.0
// Firmware: all state of the boot services. UEFI's services are C functions without a context
// argument, so there is exactly one, reached through firmware(). Its memory goes to the kernel
// after ExitBootServices(); what must live on is RuntimeState (runtime.hpp).
#pragma once

#include "firmware/efi/console.hpp"
#include "firmware/efi/handle_database.hpp"
#include "firmware/efi/machine_description.hpp"
#include "firmware/efi/memory_map.hpp"
#include "firmware/efi/paging.hpp"
#include "firmware/efi/pci_io.hpp"
#include "firmware/efi/pool.hpp"
#include "firmware/efi/random.hpp"
#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

struct Firmware {
  MachineDescription machine;
  Console console;
  MemoryMap memory;
  PoolAllocator pools{memory};
  HandleDatabase handles;
  Paging paging;
  RandomSource random;
  BootServices services = {};
  LoadedImage loaded_image;
  PciIoDevice pci_devices[MachineDescription::kFunctionsMax];
  Handle image_handle = nullptr;
  std::uint64_t monotonic_count = 0;
  bool kernel_entered = false;
  bool exited = false;  ///< boot services are over
};

Firmware& firmware();
/// Before the first firmware(): a fresh state.
void create_firmware();

/// Prints why the firmware cannot go on, tells the monitor, and stops.
[[noreturn]] void stop_with(const char* reason);

}  // namespace gpuvm::efi
