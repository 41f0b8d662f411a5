// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/named_port/named_port_device.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

namespace spec = virtio_named_port;

constexpr std::uint32_t kClassCommunication = 0x078000;  // PCI Code and ID Assignment

}  // namespace

NamedPortDevice::NamedPortDevice(Options options)
    : options_(std::move(options)),
      identity_{.type = spec::kDeviceType,
                .class_code = kClassCommunication,
                .features = spec::kFeatureMultiport,
                .queues = spec::kQueues,
                .queue_size = kQueueSize,
                .config_size = spec::kConfigSize} {
  config_.define(spec::kMostPorts, 4, 1);
}

/// Also after a pause, which a driver knows nothing of: what is pending stays so.
void NamedPortDevice::start(std::uint64_t features) {
  has_ports_ = (features & spec::kFeatureMultiport) != 0;
}

void NamedPortDevice::finish() {
  for (auto* const list : {&buffers_.port, &buffers_.control}) {
    for (; !list->empty(); list->pop_back()) {  // the newest first, as RequestSink::release() asks
      list->back()->release();
    }
  }
}

Result<Execution> NamedPortDevice::execute(QueueRequest& request) {
  switch (request.queue()) {
    case spec::kReceiveQueue:
      TRY(take_buffer(request));
      return Execution::later();
    case spec::kTransmitQueue:
      take_output(request.chain.readable);
      return Execution::done(0);
    case spec::kControlReceiveQueue:
      if (request.chain.writable.size() < spec::kControlSize + options_.port_name.size()) {
        return fail(ErrorKind::kGuest, "A buffer for control messages has room for {} bytes only",
                    request.chain.writable.size());
      }
      buffers_.control.push_back(&request);
      send_control();
      return Execution::later();
    default:
      take_control(request.chain.readable);
      send_control();
      return Execution::done(0);
  }
}

Status NamedPortDevice::take_buffer(QueueRequest& request) {
  if (options_.input != nullptr && request.chain.writable.size() == 0) {
    return fail(ErrorKind::kGuest, "A buffer to read into has no room");
  }
  buffers_.port.push_back(&request);
  deliver();
  return {};
}

pollfd NamedPortDevice::wanted() {
  return {.fd = options_.input->event().fd(), .events = POLLIN, .revents = 0};
}

Status NamedPortDevice::serve(short) {
  options_.input->event().drain();
  deliver();
  return {};
}

/// Linux throws away what comes for a port that nobody has open.
void NamedPortDevice::deliver() {
  if (options_.input == nullptr || !is_open_) {
    return;
  }
  std::array<std::byte, 4096> bytes;
  while (!buffers_.port.empty()) {
    QueueRequest* const request = buffers_.port.front();
    const auto most = std::min<std::uint64_t>(request->chain.writable.size(), bytes.size());
    const auto count = options_.input->read(std::span(bytes).first(static_cast<std::size_t>(most)));
    if (count == 0) {
      return;
    }
    buffers_.port.pop_front();
    request->chain.writable.fill(std::span(bytes).first(count));
    sent_.fetch_add(count, std::memory_order_relaxed);
    request->complete(static_cast<std::uint32_t>(count));
  }
}

/// A driver that knows of no ports takes the first one for a console: that is no word of anybody.
void NamedPortDevice::take_output(const GuestBuffer& buffer) {
  if (!has_ports_) {
    ignore();
    return;
  }
  std::size_t left = kMostOfBuffer;
  for (const iovec& piece : buffer.pieces()) {
    const std::size_t size = std::min(piece.iov_len, left);
    if (size > 0) {
      options_.host.received({static_cast<const std::byte*>(piece.iov_base), size});
      received_.fetch_add(size, std::memory_order_relaxed);
    }
    left -= size;
    if (size < piece.iov_len) {
      options_.host.cut();
      cut_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
}

void NamedPortDevice::take_control(GuestBuffer& buffer) {
  std::array<std::byte, spec::kControlSize> message{};
  if (!has_ports_ || !buffer.take(message)) {
    ignore();
    return;
  }
  const std::span<const std::byte> bytes(message);
  const auto event = static_cast<std::uint16_t>(load_le(bytes.subspan(spec::kEvent, 2)));
  // That the device is ready concerns no port, and drivers write any number.
  if (event != spec::kDeviceReady && load_le(bytes.subspan(spec::kPort, 4)) != 0) {
    ignore();
    return;
  }
  carry_out(event, static_cast<std::uint16_t>(load_le(bytes.subspan(spec::kValue, 2))));
}

/// 5.3.6.1: the driver is told of the port, says that it has it, and hears its name and that the
/// host's end is open.
void NamedPortDevice::carry_out(std::uint16_t event, std::uint16_t value) {
  if (event == spec::kDeviceReady && value == 1) {
    pending_ = {.add = true};
    is_open_ = false;
    options_.host.begun();
  } else if (event == spec::kPortReady && value == 1) {
    pending_.name = true;
    pending_.open = true;
  } else if (event == spec::kPortOpen) {
    is_open_ = value != 0;
    if (value == 0) {
      options_.host.closed();
    }
    deliver();
  } else {
    ignore();
  }
}

/// Of the next message, at the front of `out`, the size; 0: there is none.
std::size_t NamedPortDevice::next_message(std::span<std::byte> out) {
  std::uint16_t event = spec::kPortAdd;
  std::string_view text;
  if (std::exchange(pending_.add, false)) {
    event = spec::kPortAdd;
  } else if (std::exchange(pending_.name, false)) {
    event = spec::kPortName;
    text = options_.port_name;
  } else if (std::exchange(pending_.open, false)) {
    event = spec::kPortOpen;
  } else {
    return 0;
  }
  store_le(out.subspan(spec::kPort, 4), 0);
  store_le(out.subspan(spec::kEvent, 2), event);
  store_le(out.subspan(spec::kValue, 2), 1);
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  std::copy(bytes.begin(), bytes.end(), out.begin() + spec::kControlSize);
  return spec::kControlSize + bytes.size();
}

void NamedPortDevice::send_control() {
  std::array<std::byte, spec::kControlSize + kLongestName> message{};
  while (!buffers_.control.empty()) {
    const std::size_t size = next_message(message);
    if (size == 0) {
      return;
    }
    QueueRequest* const request = buffers_.control.front();
    buffers_.control.pop_front();
    request->chain.writable.fill(std::span(message).first(size));
    request->complete(static_cast<std::uint32_t>(size));
  }
}

void NamedPortDevice::inspect(InspectNode& node) const {
  node.field("port", options_.port_name);
  node.field("open", is_open_.load());
  node.field("received", received_.load(std::memory_order_relaxed));
  if (options_.input != nullptr) {
    node.field("sent", sent_.load(std::memory_order_relaxed));
  }
  node.field("cut", cut_.load(std::memory_order_relaxed));
  node.field("ignored", ignored_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
