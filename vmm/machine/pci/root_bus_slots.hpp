// SPDX-License-Identifier: Apache-2.0
// Where everything is on bus 0: one map of its 32 device numbers, which do not change with what
// else a machine has, because guests know devices by them. Linux names disks in this order, so that
// the user's come before what gpuvm adds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "devices/pci/lpc_bridge.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

/// Ports below have a device number each, from 1 on; the others are eight to a device.
constexpr unsigned kFirstSharedPort = 8;
constexpr unsigned kSharedDevice = 0x09;
constexpr std::uint8_t kRngSlot = 0x0c;
constexpr std::uint8_t kVsockSlot = 0x0d;
constexpr std::uint8_t kVirtioConsoleSlot = 0x0e;
/// The port by which a guest tells its status: programs in guests look for it here.
constexpr std::uint8_t kStatusPortSlot = 0x0f;
constexpr std::uint8_t kFirstDiskSlot = 0x10;
constexpr std::size_t kDiskSlots = 8;
/// The read-only volume that cloud-init reads.
constexpr std::uint8_t kCloudInitSlot = 0x18;
/// Shared folders are functions of one device.
constexpr std::uint8_t kShareSlot = 0x19;
// 0x1a is free.
constexpr std::uint8_t kFirstNetworkSlot = 0x1b;
constexpr std::size_t kNetworkSlots = 4;

static_assert(kFirstSharedPort + 1 <= kSharedDevice);
static_assert(kSharedDevice + (kRootPorts - 1 - kFirstSharedPort) / pci::kFunctionsPerDevice <
              kRngSlot);
static_assert(kFirstDiskSlot + kDiskSlots <= kCloudInitSlot);
static_assert(kFirstNetworkSlot + kNetworkSlots <= LpcBridge::kDevfn / pci::kFunctionsPerDevice);

}  // namespace gpuvm
