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

/// What a ring's indices say at one time.
struct RingIndices {
  std::uint16_t wanted = 0;     ///< available when the wait began
  std::uint16_t used = 0;       ///< now
  std::uint16_t available = 0;  ///< now, read after `used`
  std::uint16_t size = 0;
};
enum class Progress { kDone, kOpen, kImpossible };

Progress progress_of(const RingIndices& ring) {
  const auto distance = [](std::uint16_t from, std::uint16_t to) {
    return static_cast<std::uint16_t>(to - from);
  };
  if (distance(ring.wanted, ring.used) <= distance(ring.wanted, ring.available)) {
    return Progress::kDone;  // all, and maybe some of what has come since
  }
  return distance(ring.used, ring.wanted) <= ring.size ? Progress::kOpen : Progress::kImpossible;
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
                     .size = setup.size,
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
  if (const auto set = tell_event(Request::kSetVringCall, queue, call); !set && limit_.allow()) {
    log::error("{}", set.error().to_string());
  }
}

void VhostUserQueues::expect_stop() {
  if (!served_.empty() && options_.waits_for_requests) {
    end_of_patience_ = Clock::now() + options_.patience;
    for (const Served& queue : served_) {
      ring(queue.kick);  // for what the driver has not rung for yet
    }
  }
}

void VhostUserQueues::wait_for_requests() {
  if (!end_of_patience_) {
    expect_stop();
  }
  const auto end = end_of_patience_.value_or(Clock::now());
  end_of_patience_.reset();
  for (const Served& queue : served_) {
    wait_for_requests_of(queue, end);
  }
}

/// The driver's indices say it: no event does, since drivers may ask not to be interrupted. What is
/// made available from now on does not count: a driver that goes on while its device is reset shall
/// not hold the reset up. It is the guest's memory, which may say anything: what cannot be is the
/// guest's fault, and nothing to wait for or to blame the server for.
void VhostUserQueues::wait_for_requests_of(const Served& queue, Clock::time_point end) {
  constexpr std::chrono::microseconds kLongestNap{2000};
  const std::uint16_t wanted = load_shared(queue.available_index);
  std::chrono::microseconds nap{20};
  while (!options_.client.is_lost()) {
    const std::uint16_t used = load_shared(queue.used_index);
    switch (progress_of({.wanted = wanted,
                         .used = used,
                         .available = load_shared(queue.available_index),
                         .size = queue.size})) {
      case Progress::kDone:
        return;
      case Progress::kImpossible:
        if (limit_.allow()) {
          log::warn(
              "{}: the guest says of queue {}, of {} entries, that {} requests were made and {} "
              "answered; nobody waits for them",
              options_.client.name(), queue.index, queue.size, wanted, used);
        }
        return;
      case Progress::kOpen:
        break;
    }
    if (Clock::now() >= end) {
      options_.client.lose(fmt::format(
          "requests in queue {} are not done after {} ms: its storage hangs, or the guest wrote "
          "into the queue what is not so",
          queue.index, options_.patience.count()));
      return;
    }
    std::this_thread::sleep_for(nap);
    nap = std::min(nap * 2, kLongestNap);
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
