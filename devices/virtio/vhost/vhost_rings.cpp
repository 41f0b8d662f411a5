// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vhost/vhost_rings.hpp"

// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

std::uint64_t address(std::span<std::byte> bytes) {
  return reinterpret_cast<std::uintptr_t>(bytes.data());
}

std::uint16_t load_index(std::span<std::byte> bytes) {
  return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(bytes.data()))
      .load(std::memory_order_acquire);
}

std::vector<std::byte> memory_table(const GuestMemory& memory) {
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
  return table;
}

}  // namespace

Result<VhostRings> VhostRings::open(UniqueFd vhost, std::string name) {
  VhostRings rings(std::move(vhost), std::move(name));
  TRY(rings.control(VHOST_SET_OWNER, nullptr, "VHOST_SET_OWNER"));
  TRY(rings.control(VHOST_GET_FEATURES, &rings.supported_, "VHOST_GET_FEATURES"));
  return rings;
}

Status VhostRings::control(unsigned long request, const void* argument,
                           const char* request_name) const {
  if (::ioctl(vhost_.get(), request, argument) != 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("{}: {}", name_, request_name));
  }
  return {};
}

Status VhostRings::begin(std::uint64_t features, const GuestMemory& memory) const {
  TRY(control(VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES"));
  return control(VHOST_SET_MEM_TABLE, memory_table(memory).data(), "VHOST_SET_MEM_TABLE");
}

Result<VhostRings::Ring> VhostRings::set_up(unsigned index, const QueueBackend::Queue& queue,
                                            const GuestMemory& memory) const {
  const SplitQueueSetup& setup = queue.setup;
  TRY_CONTEXT(SplitQueue::create(memory, setup, queue.position),
              fmt::format("queue {}", queue.index));
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
  return Ring{.index = index, .used_index = place(setup.used).subspan(virtio::kRingIndex, 2)};
}

void VhostRings::look(const QueueBackend::Queue& queue) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto rung = ::write(queue.kick, &one, sizeof one);
}

void VhostRings::set_call(unsigned index, int call) const {
  const vhost_vring_file file{.index = index, .fd = call};
  if (const auto set = control(VHOST_SET_VRING_CALL, &file, "VHOST_SET_VRING_CALL"); !set) {
    log::error("{}", set.error().to_string());
  }
}

void VhostRings::set_error(unsigned index, int error) const {
  const vhost_vring_file file{.index = index, .fd = error};
  if (const auto set = control(VHOST_SET_VRING_ERR, &file, "VHOST_SET_VRING_ERR"); !set) {
    log::warn("{}", set.error().to_string());
  }
}

QueuePosition VhostRings::position(const Ring& ring) const {
  vhost_vring_state base{.index = ring.index, .num = 0};
  if (const auto got = control(VHOST_GET_VRING_BASE, &base, "VHOST_GET_VRING_BASE"); !got) {
    log::error("{}", got.error().to_string());
  }
  return {.next_available = static_cast<std::uint16_t>(base.num),
          .next_used = load_index(ring.used_index)};
}

}  // namespace gpuvm
