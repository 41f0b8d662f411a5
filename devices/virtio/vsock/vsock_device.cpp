// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/vsock_device.hpp"

// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kClassCommunication = 0x078000;  // PCI Code and ID Assignment

/// All that the kernel has to know of what was negotiated.
constexpr std::uint64_t kOfKernel = virtio::kFeatureIndirect | virtio::kFeatureEventIndex |
                                    virtio::kFeatureVersion1 | virtio_vsock::kFeatureSeqpacket;

}  // namespace

VsockDevice::VsockDevice(std::string name, std::uint32_t cid)
    : name_(std::move(name)),
      cid_(cid),
      identity_{.type = virtio_vsock::kDeviceType,
                .class_code = kClassCommunication,
                .features = virtio_vsock::kFeatureSeqpacket,
                .queues = virtio_vsock::kQueues,
                .queue_size = kQueueSize,
                .config_size = virtio_vsock::kConfigSize} {
  config_.define(virtio_vsock::kGuestCid, 8, cid);
}

void VsockDevice::inspect(InspectNode& node) const {
  node.field("cid", std::uint64_t{cid_});
}

Result<std::unique_ptr<VhostVsockQueues>> VhostVsockQueues::create(UniqueFd vhost) {
  auto rings = TRY(VhostRings::open(std::move(vhost), "vhost-vsock"));
  return std::unique_ptr<VhostVsockQueues>(new VhostVsockQueues(std::move(rings)));
}

VhostVsockQueues::~VhostVsockQueues() {
  if (!served_.empty()) {
    stop();
  }
}

std::uint64_t VhostVsockQueues::features() const {
  return ~kOfKernel | rings_.supported();
}

Status VhostVsockQueues::set_running(bool running) const {
  const int argument = running ? 1 : 0;
  return rings_.control(VHOST_VSOCK_SET_RUNNING, &argument, "VHOST_VSOCK_SET_RUNNING");
}

Status VhostVsockQueues::start(const Start& start) {
  auto started = start_rings(start);
  if (!started) {
    stop();
  }
  return started;
}

/// The kernel begins with both of its queues at once; until the driver has enabled them it rests.
Status VhostVsockQueues::start_rings(const Start& start) {
  TRY(rings_.begin(start.features & rings_.supported() & kOfKernel, start.memory));
  std::size_t of_kernel = 0;
  for (const Queue& queue : start.queues) {
    Served served{.ring = {}, .position = queue.position};
    if (queue.index < virtio_vsock::kEventQueue) {
      served.ring = TRY(rings_.set_up(static_cast<unsigned>(queue.index), queue, start.memory));
      ++of_kernel;
    }
    served_.push_back(served);
  }
  if (of_kernel < virtio_vsock::kEventQueue) {
    return {};
  }
  TRY(set_running(true));
  running_ = true;
  for (const Queue& queue : start.queues) {
    if (queue.index < virtio_vsock::kEventQueue) {
      VhostRings::look(queue);
    }
  }
  return {};
}

void VhostVsockQueues::set_call(std::size_t queue, int call) {
  if (queue < virtio_vsock::kEventQueue) {
    rings_.set_call(static_cast<unsigned>(queue), call);
  }
}

/// The kernel finishes what it has begun; connections stay, and what comes for the guest waits.
std::vector<QueuePosition> VhostVsockQueues::stop() {
  if (std::exchange(running_, false)) {
    if (const auto stopped = set_running(false); !stopped) {
      log::error("{}", stopped.error().to_string());
    }
  }
  std::vector<QueuePosition> positions;
  for (const auto& served : served_) {
    positions.push_back(served.ring ? rings_.position(*served.ring) : served.position);
  }
  served_.clear();
  return positions;
}

void VhostVsockQueues::inspect(InspectNode& node) const {
  node.field("backend", "vhost-vsock");
}

}  // namespace gpuvm
