// SPDX-License-Identifier: Apache-2.0
// GuestBus: all by which a device reaches its guest, and the guest the device. Handed to each
// device as it is made; the machine owns what it refers to.
#pragma once

#include "vmm/bus/doorbells.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/bus/memory_slots.hpp"

namespace gpuvm {

/// A handful of references: copied, not owned. All must outlive the device.
struct GuestBus {
  MemorySlots& slots;
  MmioBus& mmio;
  PortBus& ports;
  MsiController& msi;
  InterruptPins& pins;
  Doorbells& doorbells;
};

}  // namespace gpuvm
