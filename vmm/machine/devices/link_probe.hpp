// SPDX-License-Identifier: Apache-2.0
// What a root port must know of the physical function behind it: link, payload size, interrupt pin.
// From the function's configuration space (PCI Express Base 6.0, 7.5.3); a device without the
// capability gets the slowest link.
#pragma once

#include "devices/pci/root_port.hpp"
#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// As trained: Link Status.
PcieLink probe_link(PhysicalDevice& device);
/// Device Control's Max_Payload_Size code as the host has set it.
std::uint8_t probe_max_payload(PhysicalDevice& device);
/// 0 is INTA#; also for a device without a pin.
unsigned interrupt_pin_of(PhysicalDevice& device);

}  // namespace gpuvm
