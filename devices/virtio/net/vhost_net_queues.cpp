// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost_net_queues.hpp"

// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>

#include "devices/virtio/net/net_spec.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// What is the rings' and so the kernel's to know. All else is between driver, device and tap.
constexpr std::uint64_t kOfRings = virtio::kFeatureIndirect | virtio::kFeatureEventIndex |
                                   virtio::kFeatureVersion1 | virtio_net::kFeatureMergeable;

}  // namespace

Result<std::unique_ptr<VhostNetQueues>> VhostNetQueues::create(UniqueFd vhost, int tap) {
  auto rings = TRY(VhostRings::open(std::move(vhost), "vhost-net"));
  return std::unique_ptr<VhostNetQueues>(new VhostNetQueues(std::move(rings), tap));
}

VhostNetQueues::~VhostNetQueues() {
  if (!served_.empty()) {
    stop();
  }
}

std::uint64_t VhostNetQueues::features() const {
  return ~kOfRings | rings_.supported();
}

Status VhostNetQueues::set_tap(unsigned index, int tap) const {
  const vhost_vring_file backend{.index = index, .fd = tap};
  return rings_.control(VHOST_NET_SET_BACKEND, &backend, "VHOST_NET_SET_BACKEND");
}

Status VhostNetQueues::start_queue(const GuestMemory& memory, const Queue& queue) {
  const auto index = static_cast<unsigned>(queue.index);
  const auto ring = TRY(rings_.set_up(index, queue, memory));
  TRY(set_tap(index, tap_));
  VhostRings::look(queue);
  served_.push_back(ring);
  return {};
}

Status VhostNetQueues::start(const Start& start) {
  TRY(rings_.begin(start.features & rings_.supported() & kOfRings, start.memory));
  for (const Queue& queue : start.queues) {
    if (auto started = start_queue(start.memory, queue); !started) {
      stop();
      return started;
    }
  }
  return {};
}

void VhostNetQueues::set_call(std::size_t queue, int call) {
  rings_.set_call(static_cast<unsigned>(queue), call);
}

/// The kernel waits for what it has begun, and has then used all that it took.
std::vector<QueuePosition> VhostNetQueues::stop() {
  std::vector<QueuePosition> positions;
  for (const auto& ring : served_) {
    if (const auto taken = set_tap(ring.index, VHOST_FILE_UNBIND); !taken) {
      log::error("{}", taken.error().to_string());
    }
    positions.push_back(rings_.position(ring));
  }
  served_.clear();
  return positions;
}

void VhostNetQueues::inspect(InspectNode& node) const {
  node.field("backend", "vhost-net");
}

}  // namespace gpuvm
