// SPDX-License-Identifier: Apache-2.0
// The volume of cloud-init's files as one more virtio disk of the guest, which it can only read.
#pragma once

#include <memory>

#include "devices/virtio/block/disk_file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"
#include "vmm/machine/pci/root_bus_slots.hpp"

namespace gpuvm {

/// `volume`: a descriptor of a file that nobody can change; it may be closed afterwards. Null:
/// none. Errors: kHost.
Result<std::unique_ptr<DiskFile>> open_first_boot_disk(const UniqueFd& volume);

/// In kCloudInitSlot. The disk must outlive the device.
RootBusDevice first_boot_device(DiskFile& disk);

}  // namespace gpuvm
