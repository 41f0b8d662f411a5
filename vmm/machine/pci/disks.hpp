// SPDX-License-Identifier: Apache-2.0
// The guest's [[disk]] entries: their files, and the virtio block devices on bus 0 that they
// become.
#pragma once

#include <memory>
#include <vector>

#include "devices/virtio/block/disk_file.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"
#include "vmm/machine/pci/root_bus_slots.hpp"

namespace gpuvm {

/// One for each entry; null where another program serves it (served_disks.hpp).
using DiskFiles = std::vector<std::unique_ptr<DiskFile>>;

/// Opens and locks all, before anything of the host is changed. Errors: those of DiskFile::open().
Result<DiskFiles> open_disks(const std::vector<DiskConfig>& configs,
                             DiskFile::Use use = DiskFile::Use::kGuest);

/// A block device for each file, in slots from kFirstDiskSlot on; at most kDiskSlots. The files
/// must outlive the devices.
std::vector<RootBusDevice> disk_devices(const DiskFiles& files);

}  // namespace gpuvm
