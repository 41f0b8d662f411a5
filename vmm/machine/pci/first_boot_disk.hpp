// SPDX-License-Identifier: Apache-2.0
// The volume of cloud-init's files as one more virtio disk of the guest, which it can only read.
#pragma once

#include <memory>

#include "devices/virtio/disk_file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"

namespace gpuvm {

constexpr std::uint8_t kFirstBootSlot = 0x18;  ///< above the disks

/// `volume`: a descriptor of a file that nobody can change; it may be closed afterwards. Null:
/// none. Errors: kHost.
Result<std::unique_ptr<DiskFile>> open_first_boot_disk(const UniqueFd& volume);

/// The disk must outlive the device.
RootBusDevice first_boot_device(DiskFile& disk);

}  // namespace gpuvm
