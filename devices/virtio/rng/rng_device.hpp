// SPDX-License-Identifier: Apache-2.0
// RngDevice: the virtio entropy device (VIRTIO 1.2, 5.4): one queue, whose buffers are filled from
// the host's generator (getrandom(2)). A guest gets so many bytes a second and no more: a request
// costs the host a system call and an interrupt, and one that never ends would cost it a CPU.
// Missing: the leak queues of later versions of the specification.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "devices/virtio/request_device.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

namespace virtio_rng {
constexpr std::uint16_t kDeviceType = 4;  ///< 5
}  // namespace virtio_rng

class RngDevice : public RequestDevice, private EventSource {
 public:
  static constexpr std::uint16_t kQueueSize = 64;
  /// Of one request; a driver asks again.
  static constexpr std::size_t kMostOfRequest = 4096;
  /// What a request counts for at least, because most of its price is not its bytes.
  static constexpr std::uint64_t kLeastPrice = 256;

  using Clock = std::chrono::steady_clock;
  struct Options {
    std::string name;
    std::uint64_t bytes_per_second = 1 << 20;
    std::uint64_t burst = 64 << 10;  ///< at once after a rest; at least kMostOfRequest
    /// Fills all of it with random bytes. Errors: kHost.
    std::function<Status(std::span<std::byte>)> fill = host_random;
    std::function<Clock::time_point()> now = Clock::now;
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<RngDevice>> create(Options options);

  std::string_view name() const override { return options_.name; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override;
  Result<Execution> execute(QueueRequest& request) override;
  void finish() override;
  EventSource* event_source() override { return this; }

  void inspect(InspectNode& node) const override;

  /// getrandom(2), which never waits once the host has booted.
  static Status host_random(std::span<std::byte> out);

 private:
  /// What the driver has given us; a reset gives it back.
  struct State {
    std::deque<QueueRequest*> waiting;  ///< for their turn, the oldest first
  };
  RngDevice(Options options, UniqueFd timer);
  pollfd wanted() override;
  Status serve(short events) override;
  void earn();
  bool pay(std::uint64_t price);
  Result<std::uint32_t> fill(const GuestBuffer& buffer);
  void arm();

  const Options options_;
  const Identity identity_;
  DeviceConfig config_{0};
  UniqueFd timer_;
  State state_;  ///< of the thread of the queues, or of whoever has stopped it
  // The budget outlives resets, so that a guest gains nothing by them.
  std::uint64_t budget_;
  Clock::time_point earned_at_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> delayed_{0};
};

}  // namespace gpuvm
