// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net_device.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kClassEthernet = 0x020000;  // PCI Code and ID Assignment

VirtioDevice::Identity identity_of(const NetDevice::Options& options) {
  std::uint64_t features = virtio_net::kFeatureMac | virtio_net::kFeatureStatus |
                           virtio_net::kFeatureMergeable | options.link.offloads();
  features |= options.mtu ? virtio_net::kFeatureMtu : 0;
  const bool has_many = options.pairs > 1;
  features |= has_many ? virtio_net::kFeatureControl | virtio_net::kFeatureMultiQueue : 0;
  return {.type = virtio_net::kDeviceType,
          .class_code = kClassEthernet,
          .features = features,
          .queues =
              static_cast<std::uint16_t>(virtio_net::kQueues * options.pairs + (has_many ? 1 : 0)),
          .queue_size = NetDevice::kQueueSize,
          .config_size = virtio_net::kConfigSize};
}

void count(std::atomic<std::uint64_t>& counter, std::uint64_t more = 1) {
  counter.fetch_add(more, std::memory_order_relaxed);
}

}  // namespace

NetDevice::NetDevice(Options options)
    : options_(std::move(options)),
      identity_(identity_of(options_)),
      frame_(virtio_net::kMostFrame),
      transmit_(options_.limits, Throttle::Clock::now()),
      receive_(options_.limits, Throttle::Clock::now()) {
  for (std::size_t i = 0; i < options_.mac.bytes.size(); ++i) {
    config_.define(virtio_net::kMac + i, 1, options_.mac.bytes[i]);
  }
  config_.define(virtio_net::kStatus, 2, virtio_net::kStatusLinkUp);
  config_.define(virtio_net::kMostPairs, 2, options_.pairs);
  config_.define(virtio_net::kMtu, 2, options_.mtu.value_or(0));
}

void NetDevice::start(std::uint64_t features) {
  state_ = State{.mergeable = (features & virtio_net::kFeatureMergeable) != 0,
                 .buffers = {},
                 .room = 0,
                 .most_room = 0,
                 .unsent = {}};
  options_.link.set_offloads(features & options_.link.offloads());
}

/// The newest first, as RequestSink::release() asks for.
void NetDevice::finish() {
  for (auto* const list : {&state_.buffers, &state_.unsent}) {
    for (; !list->empty(); list->pop_back()) {
      list->back()->release();
    }
  }
  state_ = State{};
}

Result<Execution> NetDevice::execute(QueueRequest& request) {
  return request.queue() == virtio_net::kReceiveQueue ? add_buffer(request) : transmit(request);
}

/// 5.1.6.3.1: a buffer has room for the header at least.
Result<Execution> NetDevice::add_buffer(QueueRequest& request) {
  const std::uint64_t size = request.chain.writable.size();
  if (size < virtio_net::kHeaderSize) {
    return fail(ErrorKind::kGuest, "A buffer of {} bytes to receive into has no room for a header",
                size);
  }
  state_.buffers.push_back(&request);
  state_.room += size;
  state_.most_room = std::max(state_.most_room, state_.room);
  return Execution::later();
}

Result<Execution> NetDevice::transmit(QueueRequest& request) {
  const GuestBuffer& frame = request.chain.readable;
  if (frame.size() < virtio_net::kHeaderSize) {
    return fail(ErrorKind::kGuest, "{} bytes to send have no header", frame.size());
  }
  transmit_.take(frame.size() - virtio_net::kHeaderSize);
  if (!state_.unsent.empty() || send(frame) == NetworkLink::Sent::kFull) {
    state_.unsent.push_back(&request);
    return Execution::later();
  }
  return Execution::done(0);
}

/// Counts what does not stay.
NetworkLink::Sent NetDevice::send(const GuestBuffer& frame) {
  const bool is_possible = frame.size() >= virtio_net::kHeaderSize + virtio_net::kEthernetHeader &&
                           frame.size() <= virtio_net::kMostFrame &&
                           !lost_.load(std::memory_order_relaxed);
  auto sent = NetworkLink::Sent::kDropped;
  if (is_possible) {
    const auto outcome = options_.link.send(frame.pieces());
    if (outcome) {
      sent = *outcome;
    } else {
      lose(outcome.error());
    }
  }
  if (sent == NetworkLink::Sent::kSent) {
    count(sent_.frames);
    count(sent_.bytes, frame.size() - virtio_net::kHeaderSize);
  } else if (sent == NetworkLink::Sent::kDropped) {
    count(sent_.dropped);
  }
  return sent;
}

void NetDevice::send_waiting() {
  while (!state_.unsent.empty() &&
         send(state_.unsent.front()->chain.readable) != NetworkLink::Sent::kFull) {
    state_.unsent.front()->complete(0);
    state_.unsent.pop_front();
  }
}

pollfd NetDevice::wanted() {
  if (lost_.load(std::memory_order_relaxed)) {
    return {.fd = -1, .events = 0, .revents = 0};
  }
  const bool rests = rest_of(virtio_net::kReceiveQueue).count() > 0;
  if (rests && !options_.link.has_unsent()) {
    return {.fd = -1, .events = 0, .revents = 0};  // else a peer that is gone would end each wait
  }
  const bool may_receive = !rests && can_receive();
  const int events = (may_receive ? POLLIN : 0) | (options_.link.has_unsent() ? POLLOUT : 0);
  return {.fd = options_.link.fd(), .events = static_cast<short>(events), .revents = 0};
}

Status NetDevice::serve(short events) {
  if (const auto flushed = options_.link.flush(); !flushed) {
    lose(flushed.error());
  }
  if ((events & (POLLERR | POLLHUP)) != 0 && !can_receive()) {
    // What it may still hold nobody can take; poll(2) would not wait any more.
    lose(fail(ErrorKind::kHost, "The other side is gone"));
  }
  receive();
  send_waiting();
  return {};
}

/// As long as it rests no frame is taken from the driver, or none from the link, which keeps them
/// or drops them as a slow network does.
std::chrono::milliseconds NetDevice::rest_of(std::size_t queue) {
  Throttle& throttle = queue == virtio_net::kReceiveQueue ? receive_ : transmit_;
  return throttle.rest(Throttle::Clock::now());
}

/// Where frames take several buffers, the largest one fits, so that none is lost for want of a few:
/// the link keeps them meanwhile. A driver whose whole queue has room for less than two of those
/// gets what fits.
bool NetDevice::can_receive() const {
  if (!state_.mergeable) {
    return !state_.buffers.empty();
  }
  return state_.room > 0 &&
         state_.room >= std::min<std::uint64_t>(virtio_net::kMostFrame, state_.most_room / 2);
}

void NetDevice::receive() {
  for (unsigned i = 0; i < kMostInARow && !lost_.load(std::memory_order_relaxed); ++i) {
    if (!can_receive() || rest_of(virtio_net::kReceiveQueue).count() > 0) {
      return;
    }
    const auto size = options_.link.receive(frame_);
    if (!size) {
      return lose(size.error());
    }
    if (*size == 0) {
      return;
    }
    receive_.take(*size - std::min(*size, virtio_net::kHeaderSize));
    if (*size < virtio_net::kHeaderSize || !deliver(std::span(frame_).first(*size))) {
      count(received_.dropped);
    }
  }
}

/// How many buffers a frame takes; 0: it does not fit.
std::size_t NetDevice::buffers_for(std::size_t size) const {
  std::uint64_t room = 0;
  const std::size_t most = state_.mergeable ? state_.buffers.size() : 1;
  for (std::size_t i = 0; i < most; ++i) {
    room += state_.buffers[i]->chain.writable.size();
    if (room >= size) {
      return i + 1;
    }
  }
  return 0;
}

/// 5.1.6.4: the header says how many buffers the frame has, which the driver sees at once.
bool NetDevice::deliver(std::span<std::byte> frame) {
  const std::size_t buffers = buffers_for(frame.size());
  if (buffers == 0) {
    return false;
  }
  store_le(frame.subspan(virtio_net::kBufferCount, 2), buffers);
  count(received_.frames);
  count(received_.bytes, frame.size() - virtio_net::kHeaderSize);
  completions_.clear();
  for (std::size_t i = 0; i < buffers; ++i) {
    QueueRequest* const request = state_.buffers.front();
    const auto written = request->chain.writable.fill(frame);
    state_.room -= request->chain.writable.size();
    state_.buffers.pop_front();
    completions_.push_back({.request = request, .written = static_cast<std::uint32_t>(written)});
    frame = frame.subspan(written);
  }
  QueueRequest::complete(completions_);
  return true;
}

/// 5.1.4.2: the driver is told that the link is down; what waits for it is lost.
void NetDevice::lose(const Error& error) {
  if (lost_.exchange(true, std::memory_order_relaxed)) {
    return;
  }
  config_.change(virtio_net::kStatus, 2, 0);
  if (options_.on_link_lost) {
    options_.on_link_lost(error);
  }
}

void NetDevice::inspect(InspectNode& node) const {
  node.field("mac", options_.mac.to_string());
  node.field("link_up", !lost_.load(std::memory_order_relaxed));
  options_.link.inspect(node);
  const auto show = [&node](const char* what, const Counters& counters) {
    constexpr auto kOrder = std::memory_order_relaxed;
    node.field(fmt::format("{}_frames", what), counters.frames.load(kOrder));
    node.field(fmt::format("{}_bytes", what), counters.bytes.load(kOrder));
    node.field(fmt::format("{}_dropped", what), counters.dropped.load(kOrder));
  };
  show("sent", sent_);
  show("received", received_);
}

}  // namespace gpuvm
