// SPDX-License-Identifier: Apache-2.0
// The guest's [[disk]] entries: their files, and the virtio block devices on bus 0 that they
// become.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/block/disk_file.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"
#include "vmm/machine/pci/root_bus_slots.hpp"
#include "vmm/storage/storage_daemon.hpp"

namespace gpuvm {

/// A [[disk]] that can be had now: its file is open and locked, by whoever serves its queues.
class GuestDisk {
 public:
  virtual ~GuestDisk() = default;
  /// Its device on bus 0, which this must outlive. Once. Errors: kHost.
  virtual Result<RootBusDevice::Parts> make(const RootBusEnvironment& environment, Gsi pin) = 0;
  /// What confines the program that serves it; null: gpuvm does.
  virtual const sandbox::Layers* helper_layers() const { return nullptr; }
};
/// Told once for each disk that is gone, with the guest's end to follow, from any thread: it must
/// not wait.
using OnDiskLost = std::function<void(const std::string& name, const Error& error)>;
using GuestDisks = std::vector<std::unique_ptr<GuestDisk>>;

/// Opens and locks all, before anything of the host is changed. `cpus`: the guest's, which the
/// number of queues follows from. With kLook nothing is started, and null stands for what another
/// program would serve. `rules`: for such programs. Errors, with the disk's place: those of
/// DiskFile::open() and ServedDisk::start().
Result<GuestDisks> open_disks(const std::vector<DiskConfig>& configs, unsigned cpus,
                              DiskFile::Use use = DiskFile::Use::kGuest,
                              const OnDiskLost& on_lost = {}, const HelperRules& rules = {});
/// Whether one of them reaches guest memory from another process: it must be made with
/// GuestMemoryOptions::is_shared.
bool has_served_disks(const std::vector<DiskConfig>& disks);

/// Queues of a disk that does not say how many, of each kind.
unsigned queues_of(const DiskConfig& config, unsigned cpus);

/// A block device for each disk, in slots from kFirstDiskSlot on; at most kDiskSlots. The disks
/// must outlive the devices.
std::vector<RootBusDevice> disk_devices(const GuestDisks& disks);

}  // namespace gpuvm
