// SPDX-License-Identifier: Apache-2.0
// The memory BARs of a physical function, and whether they answer (PCI Local Bus 3.0, 6.2.5.1; PCI
// Express Base 6.0, 7.5.1.2.1). What a function says of them is hostile.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// A BAR that decodes memory.
struct MemoryBar {
  unsigned index = 0;
  std::uint64_t size = 0;        ///< bytes, never 0
  bool is_prefetchable = false;  ///< reads of it change nothing
};

/// Ascending; those that the host gives no access to are left out. Errors: those of
/// PhysicalDevice::read().
Result<std::vector<MemoryBar>> memory_bars(PhysicalDevice& device);

/// Does the work with memory decode on, and puts the command register back as it was. The host's
/// driver may mend BAR registers of the hardware at that moment (Linux, drivers/vfio/pci/
/// vfio_pci_config.c, vfio_bar_restore). Errors: the work's, else those of the register.
Status with_memory_decode(PhysicalDevice& device, const std::function<Status()>& work);

/// Whether the BAR answers a read: with anything but all ones, which is what the host reads where
/// nothing does. A BAR with registers is read at its first dword only, because reads of others may
/// have effects; one that is prefetchable also in its middle and at its end. Memory decode is on.
bool does_answer(PhysicalDevice& device, const MemoryBar& bar);

}  // namespace gpuvm
