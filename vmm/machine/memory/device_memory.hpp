// SPDX-License-Identifier: Apache-2.0
// Where memory of devices (CoherentMemory) lies in the guest's physical address space, and what
// that leaves for 64-bit BARs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// Memory of a device that wants a place.
struct DeviceMemory {
  std::string name;                     ///< of the function, for messages
  std::uint64_t size = 0;               ///< bytes, whole 2 MiB, not 0
  std::optional<GuestAddress> at = {};  ///< where it must lie; nothing: anywhere above RAM
  bool operator==(const DeviceMemory&) const = default;
};

/// What the functions want of this as far as sysfs tells: those whose memory is a BAR of the
/// host's. Errors: kHost, kConfig.
Result<std::vector<DeviceMemory>> device_memory_of(const HostSystem& host,
                                                   const FunctionPointers& functions);

/// The first address above RAM, at least 4 GiB.
GuestAddress end_of_memory(const GuestMemory& memory);

/// Places in the order of `wanted`. What may lie anywhere is put above RAM, one above the other, as
/// guests bring memory online in large blocks. `address_bits`: what the guest's CPUs can address.
/// Errors: kConfig, naming the function: its memory must lie where RAM or another device's memory
/// is, below 4 GiB, or beyond what the CPUs address; or there is no room.
Result<std::vector<GuestRange>> place_device_memory(const GuestMemory& memory,
                                                    std::span<const DeviceMemory> wanted,
                                                    unsigned address_bits);

/// What of `free` devices reach through the host's IOMMU, which maps `ranges` only; both ascending,
/// and so is the answer.
std::vector<GuestRange> reachable(std::span<const GuestRange> free,
                                  std::span<const IovaRange> ranges);

/// Address space above RAM and 4 GiB that no memory takes, ascending, without AMD's hole below
/// 1 TiB.
std::vector<GuestRange> free_above_memory(const GuestMemory& memory,
                                          std::span<const GuestRange> device_memory,
                                          unsigned address_bits);

}  // namespace gpuvm
