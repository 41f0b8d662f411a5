// SPDX-License-Identifier: Apache-2.0
// VsockDevice and VhostVsockQueues: virtio sockets (VIRTIO 1.2, 5.10), by which programs of host
// and guest talk without a network. The kernel serves the queues (vhost, Linux
// include/uapi/linux/vhost.h); connections are its own.
// Missing: word to the guest that its address has changed (event queue, 5.10.6.7), because it never
// does; what VhostRings misses.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/vhost/vhost_rings.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "devices/virtio/vsock/vsock_spec.hpp"

namespace gpuvm {

class VsockDevice : public VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 128;
  VsockDevice(std::string name, std::uint32_t cid);

  std::string_view name() const override { return name_; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t) override {}
  void inspect(InspectNode& node) const override;

 private:
  const std::string name_;
  const std::uint32_t cid_;
  const Identity identity_;
  DeviceConfig config_{virtio_vsock::kConfigSize};
};

class VhostVsockQueues : public QueueBackend {
 public:
  /// `vhost`: /dev/vhost-vsock, which has the guest's address. Errors: kHost.
  static Result<std::unique_ptr<VhostVsockQueues>> create(UniqueFd vhost);
  ~VhostVsockQueues() override;
  VhostVsockQueues(const VhostVsockQueues&) = delete;
  VhostVsockQueues& operator=(const VhostVsockQueues&) = delete;

  std::uint64_t features() const override;
  bool has_call_events() const override { return true; }
  /// The event queue is nobody's: nothing is ever told by it.
  Status start(const Start& start) override;
  void set_call(std::size_t queue, int call) override;
  std::vector<QueuePosition> stop() override;
  void inspect(InspectNode& node) const override;

 private:
  explicit VhostVsockQueues(VhostRings rings) : rings_(std::move(rings)) {}
  Status set_running(bool running) const;
  Status start_rings(const Start& start);

  struct Served {
    std::optional<VhostRings::Ring> ring;  ///< nothing: not the kernel's
    QueuePosition position;                ///< of one that is not
  };
  VhostRings rings_;
  bool running_ = false;
  std::vector<Served> served_;
};

}  // namespace gpuvm
