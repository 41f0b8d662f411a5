// SPDX-License-Identifier: Apache-2.0
// ServedDisks: those of the guest's [[disk]] entries that qemu-storage-daemon serves, of other
// formats than raw or with writes that are thrown away, and the virtio block devices on bus 0 that
// they become. A server that ends, or does not answer, takes the disk away for good: the guest
// cannot go on, and what it had flushed is in the image.
// Missing: a server that is started again under a running guest; serial numbers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/vhost_user/client.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"
#include "vmm/storage/storage_daemon.hpp"

namespace gpuvm {

/// Whether qemu-storage-daemon serves it; gpuvm itself otherwise (disks.hpp).
bool is_served(const DiskConfig& disk);
/// Whether one of them is; then guest memory must be made with GuestMemoryOptions::is_shared.
bool has_served_disks(const std::vector<DiskConfig>& disks);

/// Told once for each disk whose server is gone, from any thread: it must not wait.
using OnDiskLost = std::function<void(const std::string& name, const Error& error)>;

class ServedDisk {
 public:
  /// `index`: among all [[disk]]. Errors: those of StorageDaemon::start(), and what the daemon
  /// says.
  static Result<std::unique_ptr<ServedDisk>> start(const DiskConfig& config, std::size_t index,
                                                   unsigned cpus, OnDiskLost on_lost);
  ServedDisk(const ServedDisk&) = delete;
  ServedDisk& operator=(const ServedDisk&) = delete;

  std::size_t index() const { return index_; }
  /// Once. This must outlive the device.
  Result<RootBusDevice::Parts> make_device(const RootBusEnvironment& environment, Gsi pin);

 private:
  ServedDisk(std::size_t index, unsigned queues, bool discard, OnDiskLost on_lost)
      : name_(fmt::format("disk-{}", index)),
        index_(index),
        queues_(queues),
        discard_(discard),
        on_lost_(std::move(on_lost)) {}
  void server_ended(const Error& error);
  void connection_lost(const Error& error);

  const std::string name_;
  const std::size_t index_;
  const unsigned queues_;
  const bool discard_;
  const OnDiskLost on_lost_;
  std::atomic<bool> is_serving_{false};  ///< and nobody has been told that it does not
  std::unique_ptr<StorageDaemon> daemon_;
  std::unique_ptr<vhost_user::Client> client_;
};
using ServedDisks = std::vector<std::unique_ptr<ServedDisk>>;

/// Whether a start could have them; changes nothing. Errors: those of StorageDaemon::check(), with
/// the entry's number.
Status check_served_disks(const std::vector<DiskConfig>& configs);
/// Starts a server for each; they end with what is returned. `cpus`: of the guest.
Result<ServedDisks> start_served_disks(const std::vector<DiskConfig>& configs, unsigned cpus,
                                       const OnDiskLost& on_lost);
/// A block device for each, in the slots of their entries. The disks must outlive the devices.
std::vector<RootBusDevice> served_disk_devices(const ServedDisks& disks);

}  // namespace gpuvm
