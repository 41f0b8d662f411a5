// SPDX-License-Identifier: Apache-2.0
// VhostUserQueues: the queues of a virtio device, served by another process that has guest memory
// as a file (vhost-user). Neither the driver's doorbells nor the server's interrupts wake this
// process. Missing: a ring that the server calls broken (SET_VRING_ERR); reset of one queue.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/vhost_user/client.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

class VhostUserQueues : public QueueBackend {
 public:
  struct Options {
    vhost_user::Client& client;  ///< outlives this
    /// Whatever the driver makes available is answered soon, as by disks and file systems: a stop
    /// waits for it, because servers need not (qemu-storage-daemon 7.2 writes into the queue of a
    /// guest that has been reset). False: buffers may lie there for ever, as a network's do.
    bool waits_for_requests = true;
    /// How long such requests may take from the beginning of a stop on, or from where it is
    /// expected. A server that takes longer is lost.
    std::chrono::milliseconds patience{30000};
  };
  explicit VhostUserQueues(const Options& options) : options_(options) {}
  ~VhostUserQueues() override;
  VhostUserQueues(const VhostUserQueues&) = delete;
  VhostUserQueues& operator=(const VhostUserQueues&) = delete;

  std::uint64_t features() const override { return options_.client.features(); }
  bool has_call_events() const override { return true; }
  /// start.memory must have been made with GuestMemoryOptions::is_shared.
  Status start(const Start& start) override;
  void set_call(std::size_t queue, int call) override;
  void expect_stop() override;
  std::vector<QueuePosition> stop() override;
  void inspect(InspectNode& node) const override;

 private:
  using Clock = std::chrono::steady_clock;
  /// A queue that the server serves.
  struct Served {
    std::size_t index = 0;
    std::uint16_t size = 0;
    int kick = -1;
    std::span<std::byte> available_index;  ///< in guest memory
    std::span<std::byte> used_index;
  };
  Status set_memory(const GuestMemory& memory) const;
  Status start_queue(const GuestMemory& memory, const Queue& queue);
  Status tell_state(vhost_user::Request request, std::size_t index, std::uint32_t number) const;
  Status tell_event(vhost_user::Request request, std::size_t index, int event) const;
  void wait_for_requests();
  void wait_for_requests_of(const Served& queue, Clock::time_point end);
  QueuePosition stop_queue(const Served& queue) const;

  const Options options_;
  std::vector<Served> served_;
  std::optional<Clock::time_point> end_of_patience_;  ///< of the stop that is expected
  log::RateLimit limit_;
};

}  // namespace gpuvm
