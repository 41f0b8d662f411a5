// SPDX-License-Identifier: Apache-2.0
// The virtio devices of bus 0 besides disks and networks: random numbers, sockets, the console, the
// status port and shared folders, as the configuration has them.
#pragma once

#include <optional>
#include <vector>

#include "devices/virtio/console/console_channel.hpp"
#include "devices/virtio/named_port/named_port_device.hpp"
#include "devices/virtio/vsock/vsock_address.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"
#include "vmm/machine/services/share.hpp"

namespace gpuvm {

/// What the host has for them; outlives the devices.
struct ServiceHosts {
  std::optional<VsockAddress> vsock = {};
  ConsoleChannel* console = nullptr;  ///< null: no virtio console
  std::optional<NamedPortDevice::Options> status_port = {};
  Shares shares = {};
};

/// Each can be made once. Slots: root_bus_slots.hpp.
std::vector<RootBusDevice> service_devices(const MachineConfig& machine, ServiceHosts& hosts);

}  // namespace gpuvm
