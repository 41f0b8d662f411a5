// SPDX-License-Identifier: Apache-2.0
// ServedDisk: a [[disk]] that qemu-storage-daemon serves, of another format than raw or with writes
// that are thrown away, and the virtio block device on bus 0 that it becomes. A server that ends,
// or does not answer, takes the disk away for good: the guest cannot go on, and what it had flushed
// is in the image. Missing: a server that is started again under a running guest; serial numbers.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "devices/virtio/vhost_user/client.hpp"
#include "vmm/machine/pci/disks.hpp"
#include "vmm/storage/storage_daemon.hpp"

namespace gpuvm {

class ServedDisk : public GuestDisk {
 public:
  /// Whether a start could have it; changes nothing. Errors: those of StorageDaemon::check().
  static Status check(const DiskConfig& config);
  /// `index`: among all [[disk]]. Errors: those of check(), and what the daemon says.
  static Result<std::unique_ptr<ServedDisk>> start(const DiskConfig& config, std::size_t index,
                                                   unsigned queues, const HelperRules& rules,
                                                   OnDiskLost on_lost);
  ServedDisk(const ServedDisk&) = delete;
  ServedDisk& operator=(const ServedDisk&) = delete;

  Result<RootBusDevice::Parts> make(const RootBusEnvironment& environment, Gsi pin) override;
  const sandbox::Layers* helper_layers() const override { return &daemon_->layers(); }

 private:
  ServedDisk(std::size_t index, unsigned queues, bool discard, OnDiskLost on_lost)
      : name_(fmt::format("disk-{}", index)),
        queues_(queues),
        discard_(discard),
        on_lost_(std::move(on_lost)) {}
  void server_ended(const Error& error);
  void connection_lost(const Error& error);
  void tell(const Error& error);

  const std::string name_;
  const unsigned queues_;
  const bool discard_;
  const OnDiskLost on_lost_;
  std::atomic<bool> is_serving_{false};  ///< and nobody has been told that it does not
  std::unique_ptr<StorageDaemon> daemon_;
  std::unique_ptr<vhost_user::Client> client_;
};

}  // namespace gpuvm
