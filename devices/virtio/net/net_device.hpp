// SPDX-License-Identifier: Apache-2.0
// NetDevice: virtio-net (VIRTIO 1.2, 5.1) over a NetworkLink, served in this process: one pair of
// queues, whose frames are copied once on their way in and not on their way out. Frames are lost
// where a network loses them: when the link has no room for long, when they make no sense, when the
// link is gone. More pairs are for a backend that has them and the control queue
// (vhost_net_queues.hpp).
// Missing: filters and changes of the address; the guest's own checksums where the link has no
// offloads; VIRTIO_NET_F_GUEST_ANNOUNCE.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "devices/virtio/net/net_spec.hpp"
#include "devices/virtio/net/network_link.hpp"
#include "devices/virtio/request_device.hpp"
#include "devices/virtio/throttle.hpp"
#include "vmm/base/mac_address.hpp"

namespace gpuvm {

class NetDevice : public RequestDevice, private EventSource {
 public:
  static constexpr std::uint16_t kQueueSize = 256;
  /// Frames that are received before the queues have their turn.
  static constexpr unsigned kMostInARow = 64;

  struct Options {
    std::string name;
    MacAddress mac;
    std::optional<std::uint16_t> mtu;
    NetworkLink& link;        ///< must outlive this
    std::uint16_t pairs = 1;  ///< of queues, that the driver may use
    /// What goes in each direction; one pair of queues alone.
    Throttle::Limits limits = {};
    /// The link is gone for good: once, on the thread of the queues, after the guest was told.
    std::function<void(const Error&)> on_link_lost;
  };
  explicit NetDevice(Options options);

  std::string_view name() const override { return options_.name; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override;
  /// Receive buffers stay until a frame comes.
  Result<Execution> execute(QueueRequest& request) override;
  void finish() override;
  EventSource* event_source() override { return this; }
  std::chrono::milliseconds rest_of(std::size_t queue) override;
  /// The link is gone, as a backend says that serves the queues without this. Any thread.
  void lose(const Error& error);

  void inspect(InspectNode& node) const override;

 private:
  /// What the driver has given us; a reset gives it back.
  struct State {
    bool mergeable = false;             ///< a frame may take several buffers
    std::deque<QueueRequest*> buffers;  ///< to receive into, the oldest first
    std::uint64_t room = 0;             ///< bytes of all of them
    std::uint64_t most_room = 0;        ///< there was at once
    std::deque<QueueRequest*> unsent;   ///< wait for the link, the oldest first
  };
  struct Counters {
    std::atomic<std::uint64_t> frames{0};
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> dropped{0};
  };

  pollfd wanted() override;
  Status serve(short events) override;
  Result<Execution> add_buffer(QueueRequest& request);
  Result<Execution> transmit(QueueRequest& request);
  NetworkLink::Sent send(const GuestBuffer& frame);
  void send_waiting();
  bool can_receive() const;
  void receive();
  bool deliver(std::span<std::byte> frame);
  std::size_t buffers_for(std::size_t size) const;

  const Options options_;
  const Identity identity_;
  DeviceConfig config_{virtio_net::kConfigSize};
  State state_;                    ///< of the thread of the queues, or of whoever has stopped it
  std::atomic<bool> lost_{false};  ///< the link is; outlives resets
  std::vector<std::byte> frame_;   ///< on its way to the guest
  std::vector<Completion> completions_;
  Throttle transmit_;
  Throttle receive_;
  Counters sent_;
  Counters received_;
};

}  // namespace gpuvm
