// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost_net_queues.hpp"

// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "devices/virtio/net/net_spec.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// What is the rings' and so the kernel's to know. All else is between driver, device and tap.
constexpr std::uint64_t kOfRings = virtio::kFeatureIndirect | virtio::kFeatureEventIndex |
                                   virtio::kFeatureVersion1 | virtio_net::kFeatureMergeable;

constexpr std::size_t pair_of(std::size_t queue) {
  return queue / virtio_net::kQueues;
}

/// Of a pair's vhost.
constexpr unsigned ring_of(std::size_t queue) {
  return static_cast<unsigned>(queue % virtio_net::kQueues);
}

}  // namespace

VhostNetQueues::VhostNetQueues(Options options, TapWatch watch)
    : name_(std::move(options.name)),
      on_tap_gone_(std::move(options.on_tap_gone)),
      watch_(std::move(watch)) {}

Result<std::unique_ptr<VhostNetQueues>> VhostNetQueues::create(Options options) {
  auto pairs = std::move(options.pairs);
  auto watch = TRY(TapWatch::create(pairs.front().tap));
  std::unique_ptr<VhostNetQueues> queues(new VhostNetQueues(std::move(options), std::move(watch)));
  TRY(queues->open_pairs(std::move(pairs)));
  TRY(queues->make_control());
  TRY(queues->make_thread());
  return queues;
}

VhostNetQueues::~VhostNetQueues() {
  if (!served_.empty()) {
    stop();
  }
}

Status VhostNetQueues::open_pairs(std::vector<Pair> pairs) {
  for (Pair& pair : pairs) {
    rings_.push_back(TRY(VhostRings::open(std::move(pair.vhost), "vhost-net")));
    taps_.push_back(pair.tap);
    attached_.push_back(true);
    for (unsigned i = 0; i < virtio_net::kQueues; ++i) {
      errors_.push_back(TRY(EventFd::create()));
    }
  }
  return {};
}

Status VhostNetQueues::make_control() {
  control_ = TRY(ControlQueue::create(
      {.most_pairs = static_cast<std::uint16_t>(rings_.size()),
       .use_pairs = [this](std::uint16_t pairs) { return use_pairs(pairs); }}));
  return {};
}

Status VhostNetQueues::make_thread() {
  thread_ = TRY(QueueThread::create(
      {.name = name_,
       .serve = [this](std::size_t event) { return serve(event); },
       .looks_first = false,  // an event of an error is one
       .wanted =
           [this] {
             const bool is_gone = is_gone_.load(std::memory_order_relaxed);
             return pollfd{.fd = is_gone ? -1 : watch_.fd(), .events = POLLIN, .revents = 0};
           },
       .serve_wanted = [this](short) { return look_at_tap(); }}));
  return {};
}

std::uint64_t VhostNetQueues::features() const {
  return ~kOfRings | rings_.front().supported();
}

/// 5.1.2: it follows the pairs that the driver knows of.
std::size_t VhostNetQueues::control_index() const {
  const bool has_many = (features_ & virtio_net::kFeatureMultiQueue) != 0;
  return virtio_net::kQueues * (has_many ? rings_.size() : 1);
}

bool VhostNetQueues::is_control(std::size_t queue) const {
  return control_->is_started() && queue == control_index();
}

Status VhostNetQueues::set_tap(const Served& served, int tap) const {
  const vhost_vring_file backend{.index = ring_of(served.queue.index), .fd = tap};
  return rings_[pair_of(served.queue.index)].control(VHOST_NET_SET_BACKEND, &backend,
                                                     "VHOST_NET_SET_BACKEND");
}

/// A queue of the tap that nobody reads must be detached: flows would go there and be lost. (A tap
/// without several queues has one that is always attached.)
Status VhostNetQueues::attach(std::size_t pair, bool attached) {
  if (attached_[pair] == attached) {
    return {};
  }
  ifreq request{};
  request.ifr_flags = static_cast<short>(attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  if (::ioctl(taps_[pair], TUNSETQUEUE, &request) != 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("{}: Cannot {} queue {} of the tap", name_,
                                                    attached ? "attach" : "detach", pair));
  }
  attached_[pair] = attached;
  return {};
}

/// What is not used any more goes first: the kernel refuses a queue of the tap that is detached. A
/// tap that is gone takes none, and the driver hears of that by the link.
Status VhostNetQueues::use_pairs(std::size_t pairs) {
  used_.store(pairs, std::memory_order_relaxed);
  if (watch_.is_gone()) {
    return {};
  }
  for (Served& served : served_) {
    if (served.has_tap && pair_of(served.queue.index) >= pairs) {
      TRY(set_tap(served, VHOST_FILE_UNBIND));
      served.has_tap = false;
    }
  }
  for (std::size_t pair = 0; pair < taps_.size(); ++pair) {
    TRY(attach(pair, pair < pairs));
  }
  for (Served& served : served_) {
    if (served.ring && !served.has_tap && pair_of(served.queue.index) < pairs) {
      TRY(set_tap(served, taps_[pair_of(served.queue.index)]));
      served.has_tap = true;
      VhostRings::look(served.queue);
    }
  }
  return {};
}

/// A queue that is none with the features that were negotiated is left alone.
Status VhostNetQueues::set_up(const Start& start) {
  const std::size_t control = control_index();
  const std::size_t pairs = pair_of(control);
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const VhostRings& rings = rings_[pair];
    TRY(rings.begin(start.features & rings.supported() & kOfRings, start.memory));
  }
  // 5.1.6.5.5.1: one pair, until the driver says another number. How far its commands have come is
  // what tells a start after a reset from one after a pause.
  std::size_t used = 1;
  for (const Queue& queue : start.queues) {
    served_.push_back({.queue = queue});
    if (queue.index < control) {
      const VhostRings& rings = rings_[pair_of(queue.index)];
      served_.back().ring = TRY(rings.set_up(ring_of(queue.index), queue, start.memory));
      errors_[queue.index].drain();
      rings.set_error(ring_of(queue.index), errors_[queue.index].fd());
    } else if (queue.index == control && (features_ & virtio_net::kFeatureControl) != 0) {
      control_->start(TRY_CONTEXT(SplitQueue::create(start.memory, queue.setup, queue.position),
                                  fmt::format("queue {}", queue.index)),
                      queue.call);
      used = queue.position == QueuePosition{} ? 1 : used_.load(std::memory_order_relaxed);
    }
  }
  return use_pairs(std::min(used, pairs));
}

void VhostNetQueues::start_thread() {
  std::vector<int> events;
  events_.clear();
  for (const Served& served : served_) {
    if (served.ring) {
      events_.push_back(served.queue.index);
      events.push_back(errors_[served.queue.index].fd());
    } else if (is_control(served.queue.index)) {
      for (const int event : {served.queue.kick, control_->timer()}) {
        events_.push_back(served.queue.index);
        events.push_back(event);
      }
      VhostRings::look(served.queue);
    }
  }
  thread_->start(std::move(events));
}

Status VhostNetQueues::start(const Start& start) {
  features_ = start.features;
  listener_ = &start.listener;
  auto started = set_up(start);
  if (started) {
    start_thread();
  } else {
    stop();
  }
  return started;
}

void VhostNetQueues::set_call(std::size_t queue, int call) {
  if (queue < control_index()) {
    rings_[pair_of(queue)].set_call(ring_of(queue), call);
  } else {
    control_->set_call(call);
  }
}

/// The kernel waits for what it has begun, and has then used all that it took.
std::vector<QueuePosition> VhostNetQueues::stop() {
  thread_->stop();
  std::vector<QueuePosition> positions;
  for (const Served& served : served_) {
    if (!served.ring) {
      positions.push_back(is_control(served.queue.index) ? control_->stop()
                                                         : served.queue.position);
      continue;
    }
    if (served.has_tap) {
      if (const auto taken = set_tap(served, VHOST_FILE_UNBIND); !taken) {
        log::error("{}", taken.error().to_string());
      }
    }
    positions.push_back(rings_[pair_of(served.queue.index)].position(*served.ring));
  }
  served_.clear();
  return positions;
}

bool VhostNetQueues::serve(std::size_t event) {
  const std::size_t queue = events_[event];
  const Status outcome =
      is_control(queue)
          ? control_->serve([this] { return thread_->stopping(); })
          : Status(fail(ErrorKind::kGuest, "Queue {}: vhost-net refuses what is in it", queue));
  if (!outcome) {
    listener_->queues_broken(outcome.error());
  }
  return outcome.has_value();
}

bool VhostNetQueues::look_at_tap() {
  watch_.take();
  if (watch_.is_gone() && !is_gone_.exchange(true, std::memory_order_relaxed) && on_tap_gone_) {
    on_tap_gone_(fail(ErrorKind::kHost, "The tap is gone"));
  }
  return true;
}

void VhostNetQueues::inspect(InspectNode& node) const {
  node.field("backend", "vhost-net");
  node.field("pairs", std::uint64_t{rings_.size()});
  node.field("pairs_used", std::uint64_t{used_.load(std::memory_order_relaxed)});
}

}  // namespace gpuvm
