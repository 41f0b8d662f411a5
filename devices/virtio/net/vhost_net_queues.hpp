// SPDX-License-Identifier: Apache-2.0
// VhostNetQueues: the queues of a network device whose link is a tap, served by the kernel (vhost,
// Linux include/uapi/linux/vhost.h): frames go between the tap and guest memory without this
// process, which the driver's doorbells and the kernel's interrupts do not wake either.
// Missing: word of a ring that breaks the rules (VHOST_SET_VRING_ERR): the kernel leaves it alone;
// word of a tap that is gone; a device IOTLB.
#pragma once

#include <memory>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
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
  VhostNetQueues(UniqueFd vhost, int tap) : vhost_(std::move(vhost)), tap_(tap) {}
  Status set_memory(const GuestMemory& memory) const;
  Status start_queue(const GuestMemory& memory, const Queue& queue);
  Status control(unsigned long request, const void* argument, const char* name) const;

  /// A queue that the kernel serves.
  struct Served {
    std::size_t index = 0;
    std::span<std::byte> used_index;  ///< in guest memory
  };
  UniqueFd vhost_;
  const int tap_;
  std::uint64_t supported_ = 0;  ///< by the kernel
  std::vector<Served> served_;
};

}  // namespace gpuvm
