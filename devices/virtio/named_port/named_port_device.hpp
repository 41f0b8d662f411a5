// SPDX-License-Identifier: Apache-2.0
// NamedPortDevice: a virtio console with the protocol of several ports (VIRTIO 1.2, 5.3,
// VIRTIO_CONSOLE_F_MULTIPORT) and one port, which has a name and is no console. Linux makes
// /dev/vportNp0 of it, and udev /dev/virtio-ports/NAME. What the guest writes there goes to the
// host's end as it comes, and never waits for it. What the host says waits until the guest has the
// port open and reads.
// Missing: several ports; ports that come and go.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>

#include "devices/virtio/named_port/named_port_spec.hpp"
#include "devices/virtio/named_port/port_input.hpp"
#include "devices/virtio/request_device.hpp"

namespace gpuvm {

class NamedPortDevice : public RequestDevice, private EventSource {
 public:
  static constexpr std::uint16_t kQueueSize = 64;
  /// Bytes of one buffer that are passed on; the guest may name the same memory again and again.
  static constexpr std::size_t kMostOfBuffer = 65536;
  static constexpr std::size_t kLongestName = 64;

  /// The host's end. All are called on the thread of the queues, one at a time, and return soon.
  struct Host {
    std::function<void(std::span<const std::byte>)> received;
    std::function<void()> cut;     ///< bytes are missing here
    std::function<void()> closed;  ///< the guest has closed its end
    std::function<void()> begun;   ///< a driver begins anew: an earlier one says nothing more
  };
  struct Options {
    std::string name;       ///< of the device, in logs and inspect
    std::string port_name;  ///< what guests find the port by; at most kLongestName, ASCII
    Host host;              ///< all set
    /// What the guest reads; outlives the device. Null: nothing ever comes.
    PortInput* input = nullptr;
  };
  explicit NamedPortDevice(Options options);

  std::string_view name() const override { return options_.name; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  EventSource* event_source() override { return options_.input != nullptr ? this : nullptr; }
  void start(std::uint64_t features) override;
  Result<Execution> execute(QueueRequest& request) override;
  void finish() override;

  void inspect(InspectNode& node) const override;

 private:
  /// What is still to be said to the driver, in this order.
  struct Pending {
    bool add = false;
    bool name = false;
    bool open = false;
  };
  /// What the driver has given us; a reset gives it back.
  struct Buffers {
    std::deque<QueueRequest*> port;     ///< to read into
    std::deque<QueueRequest*> control;  ///< for messages, the oldest first
  };
  void take_output(const GuestBuffer& buffer);
  void take_control(GuestBuffer& buffer);
  void carry_out(std::uint16_t event, std::uint16_t value);
  void send_control();
  Status take_buffer(QueueRequest& request);
  void deliver();
  pollfd wanted() override;
  Status serve(short events) override;
  std::size_t next_message(std::span<std::byte> out);
  void ignore() { ignored_.fetch_add(1, std::memory_order_relaxed); }

  const Options options_;
  const Identity identity_;
  DeviceConfig config_{virtio_named_port::kConfigSize};
  // Of the thread of the queues, or of whoever has stopped it.
  bool has_ports_ = false;  ///< the driver knows of ports
  Buffers buffers_;
  Pending pending_;  ///< outlives a pause; a driver that begins sets it anew

  std::atomic<bool> is_open_{false};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::uint64_t> cut_{0};
  std::atomic<std::uint64_t> ignored_{0};
};

}  // namespace gpuvm
