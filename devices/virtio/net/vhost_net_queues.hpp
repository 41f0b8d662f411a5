// SPDX-License-Identifier: Apache-2.0
// VhostNetQueues: the queues of a network device whose link is a tap, served by the kernel (vhost):
// frames go between the tap and guest memory without this process, which the driver's doorbells and
// the kernel's interrupts do not wake either.
// Missing: word of a tap that is gone; what VhostRings misses.
#pragma once

#include <memory>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/vhost/vhost_rings.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VhostNetQueues : public QueueBackend {
 public:
  /// `vhost`: /dev/vhost-net, open for reading and writing. `tap`: of the link, which outlives
  /// this. Errors: kHost.
  static Result<std::unique_ptr<VhostNetQueues>> create(UniqueFd vhost, int tap);
  ~VhostNetQueues() override;
  VhostNetQueues(const VhostNetQueues&) = delete;
  VhostNetQueues& operator=(const VhostNetQueues&) = delete;

  std::uint64_t features() const override;
  bool has_call_events() const override { return true; }
  Status start(const Start& start) override;
  void set_call(std::size_t queue, int call) override;
  std::vector<QueuePosition> stop() override;
  void inspect(InspectNode& node) const override;

 private:
  VhostNetQueues(VhostRings rings, int tap) : rings_(std::move(rings)), tap_(tap) {}
  Status start_queue(const GuestMemory& memory, const Queue& queue);
  Status set_tap(unsigned index, int tap) const;

  VhostRings rings_;
  const int tap_;
  std::vector<VhostRings::Ring> served_;
};

}  // namespace gpuvm
