// SPDX-License-Identifier: Apache-2.0
// VirtioConsole: the virtio console (VIRTIO 1.2, 5.3): one port, which Linux calls hvc0. Many bytes
// go with one exit, where a serial port takes one for each; the guest learns the terminal's size
// and when it changes. What the host has no room for waits in the driver's buffers.
// Missing: several ports (VIRTIO_CONSOLE_F_MULTIPORT), the emergency write.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "devices/virtio/console/console_channel.hpp"
#include "devices/virtio/console/console_spec.hpp"
#include "devices/virtio/request_device.hpp"

namespace gpuvm {

class VirtioConsole : public RequestDevice, private EventSource {
 public:
  static constexpr std::uint16_t kQueueSize = 64;
  /// Bytes in one direction before the other and the queues have their turn.
  static constexpr std::size_t kMostInARow = 65536;

  /// `channel` must outlive this.
  VirtioConsole(std::string name, ConsoleChannel& channel);

  std::string_view name() const override { return name_; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override;
  Result<Execution> execute(QueueRequest& request) override;
  /// A buffer that is half sent is given back as sent; its rest goes out first of all later.
  void finish() override;
  EventSource* event_source() override { return this; }

  void inspect(InspectNode& node) const override;

 private:
  /// What the driver has given us; a reset gives it back.
  struct State {
    std::deque<QueueRequest*> buffers;  ///< to read into, the oldest first
    std::deque<QueueRequest*> unsent;   ///< wait for the host, the oldest first
    std::uint64_t sent = 0;             ///< of the first of them
    ConsoleSize announced = {};         ///< to this driver
  };
  pollfd wanted() override;
  Status serve(short events) override;
  void announce_size();
  void deliver();
  void send_waiting();
  bool send_rest();
  std::uint64_t send(const GuestBuffer& buffer, std::uint64_t from, std::uint64_t most);
  void keep_rest(const GuestBuffer& buffer, std::uint64_t from);

  const std::string name_;
  ConsoleChannel& channel_;
  const Identity identity_;
  DeviceConfig config_{virtio_console::kConfigSize};
  State state_;                  ///< of the thread of the queues, or of whoever has stopped it
  std::vector<std::byte> rest_;  ///< of a buffer that was half sent when the queues were stopped
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> read_{0};
};

}  // namespace gpuvm
