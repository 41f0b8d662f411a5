// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/firmware.hpp"

#include <new>

namespace gpuvm::efi {
namespace {

/// Raw, so that it is not part of the firmware's file; the linker script puts its section behind
/// what stays at run time.
alignas(Firmware) __attribute__((section(".bss.boot"))) std::uint8_t storage[sizeof(Firmware)];

}  // namespace

Firmware& firmware() {
  return *reinterpret_cast<Firmware*>(storage);
}

void create_firmware() {
  new (storage) Firmware();
}

}  // namespace gpuvm::efi
