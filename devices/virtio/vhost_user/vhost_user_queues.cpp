// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vhost_user/vhost_user_queues.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

using vhost_user::bytes_of;
using vhost_user::Request;

std::uint16_t load_shared(std::span<std::byte> bytes) {
  return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(bytes.data()))
      .load(std::memory_order_acquire);
}

void ring(int kick) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto rung = ::write(kick, &one, sizeof one);
}

}  // namespace

VhostUserQueues::~VhostUserQueues() {
  if (!served_.empty()) {
    stop();
  }
}

/// The server names guest memory by the guest's own addresses: it need not know ours.
Status VhostUserQueues::set_memory(const GuestMemory& memory) const {
  const auto& regions = memory.regions();
  if (regions.size() > vhost_user::kMaxRegions) {
    return fail(ErrorKind::kInternal, "Guest memory has {} regions", regions.size());
  }
  vhost_user::Bytes table;
  append_bytes(table, vhost_user::MemoryHead{.regions = static_cast<std::uint32_t>(regions.size()),
                                             .padding = 0});
  for (const auto& region : regions) {
    append_bytes(table, vhost_user::MemoryRegion{.guest_address = region.range.base().value(),
                                                 .size = region.host.size(),
                                                 .user_address = region.range.base().value(),
                                                 .file_offset = region.file_offset});
  }
  return options_.client.tell(Request::kSetMemTable, table,
                              std::vector<int>(regions.size(), memory.fd()));
}

Status VhostUserQueues::tell_state(Request request, std::size_t index, std::uint32_t number) const {
  const vhost_user::VringState state{.index = static_cast<std::uint32_t>(index), .number = number};
  return options_.client.tell(request, bytes_of(state));
}

Status VhostUserQueues::tell_event(Request request, std::size_t index, int event) const {
  const std::uint64_t which = index;
  return options_.client.tell(request, bytes_of(which), {&event, 1});
}

/// The places are checked first, as for queues that this process serves.
Status VhostUserQueues::start_queue(const GuestMemory& memory, const Queue& queue) {
  const SplitQueueSetup& setup = queue.setup;
  TRY_CONTEXT(SplitQueue::create(memory, setup, queue.position),
              fmt::format("queue {}", queue.index));
  TRY(tell_state(Request::kSetVringNum, queue.index, setup.size));
  TRY(tell_state(Request::kSetVringBase, queue.index, queue.position.next_available));
  const vhost_user::VringAddress address{.index = static_cast<std::uint32_t>(queue.index),
                                         .flags = 0,
                                         .descriptors = setup.descriptors.value(),
                                         .used = setup.used.value(),
                                         .available = setup.available.value(),
                                         .log = 0};
  TRY(options_.client.tell(Request::kSetVringAddr, bytes_of(address)));
  TRY(tell_event(Request::kSetVringCall, queue.index, queue.call));
  TRY(tell_event(Request::kSetVringKick, queue.index, queue.kick));
  const auto index_at = [&memory](GuestAddress at) {
    return memory.slice(at, virtio::kRingEntries)->subspan(virtio::kRingIndex, 2);
  };
  served_.push_back({.index = queue.index,
                     .kick = queue.kick,
                     .available_index = index_at(setup.available),
                     .used_index = index_at(setup.used)});
  if (options_.client.own_features() != 0) {  // "Ring states": else it is enabled from the start
    TRY(tell_state(Request::kSetVringEnable, queue.index, 1));
  }
  ring(queue.kick);  // a first look, also at what was rung for before
  return {};
}

Status VhostUserQueues::start(const Start& start) {
  auto& client = options_.client;
  const std::uint64_t features = (start.features & client.features()) | client.own_features();
  TRY(client.tell(Request::kSetFeatures, bytes_of(features)));
  TRY(set_memory(start.memory));
  for (const Queue& queue : start.queues) {
    if (auto started = start_queue(start.memory, queue); !started) {
      stop();
      return started;
    }
  }
  client.set_loss_listener(
      [&listener = start.listener](const Error& error) { listener.queues_broken(error); });
  if (client.is_lost()) {  // before it listened
    stop();
    return client.lost_error();
  }
  return {};
}

void VhostUserQueues::set_call(std::size_t queue, int call) {
  if (const auto set = tell_event(Request::kSetVringCall, queue, call); !set) {
    log::error("{}", set.error().to_string());
  }
}

/// The driver's indices say it: no event does, since drivers may ask not to be interrupted. It is
/// the guest's memory, which may say anything; then the time is up.
void VhostUserQueues::wait_for_requests() const {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kLongestNap{2000};
  const auto end = Clock::now() + options_.patience;
  for (const Served& queue : served_) {
    ring(queue.kick);  // for what the driver has not rung for yet
    std::chrono::microseconds nap{20};
    while (load_shared(queue.available_index) != load_shared(queue.used_index)) {
      if (options_.client.is_lost()) {
        return;
      }
      if (Clock::now() >= end) {
        options_.client.lose(fmt::format("requests in queue {} are not done after {} ms",
                                         queue.index, options_.patience.count()));
        return;
      }
      std::this_thread::sleep_for(nap);
      nap = std::min(nap * 2, kLongestNap);
    }
  }
}

QueuePosition VhostUserQueues::stop_queue(const Served& queue) const {
  const vhost_user::VringState which{.index = static_cast<std::uint32_t>(queue.index), .number = 0};
  const auto answer =
      options_.client.ask(Request::kGetVringBase, bytes_of(which), sizeof(vhost_user::VringState));
  QueuePosition position{.next_available = load_shared(queue.used_index),
                         .next_used = load_shared(queue.used_index)};
  if (!answer) {
    return position;  // whoever has to know of the loss has been told
  }
  const auto state = load_at<vhost_user::VringState>(*answer, 0).value();
  if (state.index != queue.index || state.number > 0xffff) {
    options_.client.lose(
        fmt::format("it answered GET_VRING_BASE of queue {} with queue {}, entry {}", queue.index,
                    state.index, state.number));
    return position;
  }
  position.next_available = static_cast<std::uint16_t>(state.number);
  return position;
}

std::vector<QueuePosition> VhostUserQueues::stop() {
  if (options_.waits_for_requests) {
    wait_for_requests();
  }
  options_.client.set_loss_listener({});
  std::vector<QueuePosition> positions;
  for (const Served& queue : served_) {
    positions.push_back(stop_queue(queue));
  }
  served_.clear();
  return positions;
}

void VhostUserQueues::inspect(InspectNode& node) const {
  node.field("backend", "vhost-user");
  options_.client.inspect(node.child("vhost_user"));
}

}  // namespace gpuvm
