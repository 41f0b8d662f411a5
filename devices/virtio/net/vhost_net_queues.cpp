// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost_net_queues.hpp"

// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "devices/virtio/net/net_spec.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// What is the rings' and so the kernel's to know. All else is between driver, device and tap.
constexpr std::uint64_t kOfRings = virtio::kFeatureIndirect | virtio::kFeatureEventIndex |
                                   virtio::kFeatureVersion1 | virtio_net::kFeatureMergeable;

std::uint64_t address(std::span<std::byte> bytes) {
  return reinterpret_cast<std::uintptr_t>(bytes.data());
}

std::uint16_t load_index(std::span<std::byte> bytes) {
  return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(bytes.data()))
      .load(std::memory_order_acquire);
}

}  // namespace

Result<std::unique_ptr<VhostNetQueues>> VhostNetQueues::create(UniqueFd vhost, int tap) {
  std::unique_ptr<VhostNetQueues> queues(new VhostNetQueues(std::move(vhost), tap));
  TRY(queues->control(VHOST_SET_OWNER, nullptr, "VHOST_SET_OWNER"));
  TRY(queues->control(VHOST_GET_FEATURES, &queues->supported_, "VHOST_GET_FEATURES"));
  return queues;
}

VhostNetQueues::~VhostNetQueues() {
  if (!served_.empty()) {
    stop();
  }
}

std::uint64_t VhostNetQueues::features() const {
  return ~kOfRings | supported_;
}

Status VhostNetQueues::control(unsigned long request, const void* argument,
                               const char* name) const {
  if (::ioctl(vhost_.get(), request, argument) != 0) {
    return fail_errno(ErrorKind::kHost, std::string("vhost-net: ") + name);
  }
  return {};
}

/// The kernel reaches this memory only, whatever address a guest names.
Status VhostNetQueues::set_memory(const GuestMemory& memory) const {
  const auto& regions = memory.regions();
  const std::array<std::uint32_t, 2> head{static_cast<std::uint32_t>(regions.size()), 0};
  static_assert(sizeof head == offsetof(vhost_memory, regions));
  std::vector<std::byte> table(sizeof head + regions.size() * sizeof(vhost_memory_region));
  std::memcpy(table.data(), head.data(), sizeof head);
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const vhost_memory_region region{.guest_phys_addr = regions[i].range.base().value(),
                                     .memory_size = regions[i].host.size(),
                                     .userspace_addr = address(regions[i].host),
                                     .flags_padding = 0};
    std::memcpy(table.data() + sizeof head + i * sizeof region, &region, sizeof region);
  }
  return control(VHOST_SET_MEM_TABLE, table.data(), "VHOST_SET_MEM_TABLE");
}

/// The places are checked first, as for queues that this process serves.
Status VhostNetQueues::start_queue(const GuestMemory& memory, const Queue& queue) {
  const SplitQueueSetup& setup = queue.setup;
  TRY_CONTEXT(SplitQueue::create(memory, setup, queue.position),
              fmt::format("queue {}", queue.index));
  const auto index = static_cast<unsigned>(queue.index);
  const auto place = [&memory](GuestAddress at) { return *memory.slice(at, virtio::kRingEntries); };
  const vhost_vring_state size{.index = index, .num = setup.size};
  TRY(control(VHOST_SET_VRING_NUM, &size, "VHOST_SET_VRING_NUM"));
  const vhost_vring_state base{.index = index, .num = queue.position.next_available};
  TRY(control(VHOST_SET_VRING_BASE, &base, "VHOST_SET_VRING_BASE"));
  const vhost_vring_addr addresses{.index = index,
                                   .flags = 0,
                                   .desc_user_addr = address(place(setup.descriptors)),
                                   .used_user_addr = address(place(setup.used)),
                                   .avail_user_addr = address(place(setup.available)),
                                   .log_guest_addr = 0};
  TRY(control(VHOST_SET_VRING_ADDR, &addresses, "VHOST_SET_VRING_ADDR"));
  const vhost_vring_file kick{.index = index, .fd = queue.kick};
  TRY(control(VHOST_SET_VRING_KICK, &kick, "VHOST_SET_VRING_KICK"));
  const vhost_vring_file call{.index = index, .fd = queue.call};
  TRY(control(VHOST_SET_VRING_CALL, &call, "VHOST_SET_VRING_CALL"));
  const vhost_vring_file backend{.index = index, .fd = tap_};
  TRY(control(VHOST_NET_SET_BACKEND, &backend, "VHOST_NET_SET_BACKEND"));
  const std::uint64_t one = 1;  // a first look, also at what was rung for before
  [[maybe_unused]] const auto rung = ::write(queue.kick, &one, sizeof one);
  served_.push_back(
      {.index = queue.index, .used_index = place(setup.used).subspan(virtio::kRingIndex, 2)});
  return {};
}

Status VhostNetQueues::start(const Start& start) {
  const std::uint64_t features = start.features & supported_ & kOfRings;
  TRY(control(VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES"));
  TRY(set_memory(start.memory));
  for (const Queue& queue : start.queues) {
    if (auto started = start_queue(start.memory, queue); !started) {
      stop();
      return started;
    }
  }
  return {};
}

void VhostNetQueues::set_call(std::size_t queue, int call) {
  const vhost_vring_file file{.index = static_cast<unsigned>(queue), .fd = call};
  if (const auto set = control(VHOST_SET_VRING_CALL, &file, "VHOST_SET_VRING_CALL"); !set) {
    log::error("{}", set.error().to_string());
  }
}

/// The kernel waits for what it has begun, and has then used all that it took.
std::vector<QueuePosition> VhostNetQueues::stop() {
  std::vector<QueuePosition> positions;
  for (const Served& queue : served_) {
    const auto index = static_cast<unsigned>(queue.index);
    const vhost_vring_file none{.index = index, .fd = VHOST_FILE_UNBIND};
    vhost_vring_state base{.index = index, .num = 0};
    for (const auto& done : {control(VHOST_NET_SET_BACKEND, &none, "VHOST_NET_SET_BACKEND"),
                             control(VHOST_GET_VRING_BASE, &base, "VHOST_GET_VRING_BASE")}) {
      if (!done) {
        log::error("{}", done.error().to_string());
      }
    }
    positions.push_back({.next_available = static_cast<std::uint16_t>(base.num),
                         .next_used = load_index(queue.used_index)});
  }
  served_.clear();
  return positions;
}

void VhostNetQueues::inspect(InspectNode& node) const {
  node.field("backend", "vhost-net");
}

}  // namespace gpuvm
