// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console/console_device.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gpuvm {
namespace {

constexpr std::uint32_t kClassCommunication = 0x078000;  // PCI Code and ID Assignment

/// The bytes [from, from + most) of a buffer, piece by piece, as long as `take` takes all of one.
/// Returns how many were taken.
template <class Take>
std::uint64_t walk(const GuestBuffer& buffer, std::uint64_t from, std::uint64_t most, Take take) {
  std::uint64_t done = 0;
  for (const iovec& piece : buffer.pieces()) {
    if (from >= piece.iov_len) {
      from -= piece.iov_len;
      continue;
    }
    const auto size = std::min<std::uint64_t>(piece.iov_len - from, most - done);
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(piece.iov_base) + from,
                                           static_cast<std::size_t>(size));
    from = 0;
    const std::uint64_t taken = bytes.empty() ? 0 : take(bytes);
    done += taken;
    if (taken < bytes.size() || done == most) {
      break;
    }
  }
  return done;
}

}  // namespace

VirtioConsole::VirtioConsole(std::string name, ConsoleChannel& channel)
    : name_(std::move(name)),
      channel_(channel),
      identity_{.type = virtio_console::kDeviceType,
                .class_code = kClassCommunication,
                .features = virtio_console::kFeatureSize,
                .queues = virtio_console::kQueues,
                .queue_size = kQueueSize,
                .config_size = virtio_console::kConfigSize} {}

/// Linux looks at the size only when it is told of a change, so that each driver is told once.
void VirtioConsole::start(std::uint64_t) {
  state_ = State{};
  channel_.output_ready();
}

void VirtioConsole::finish() {
  if (!state_.unsent.empty() && state_.sent > 0) {
    QueueRequest* const half = state_.unsent.front();
    keep_rest(half->chain.readable, state_.sent);
    state_.unsent.pop_front();
    half->complete(0);
  }
  for (auto* const list : {&state_.buffers, &state_.unsent}) {
    for (; !list->empty(); list->pop_back()) {  // the newest first, as RequestSink::release() asks
      list->back()->release();
    }
  }
  state_ = State{};
}

/// No more than any driver puts into one buffer.
void VirtioConsole::keep_rest(const GuestBuffer& buffer, std::uint64_t from) {
  walk(buffer, from, kMostInARow, [this](std::span<const std::byte> bytes) {
    rest_.insert(rest_.end(), bytes.begin(), bytes.end());
    return bytes.size();
  });
}

Result<Execution> VirtioConsole::execute(QueueRequest& request) {
  if (request.queue() == virtio_console::kReceiveQueue) {
    if (request.chain.writable.size() == 0) {
      return fail(ErrorKind::kGuest, "A buffer to read into has no room");
    }
    state_.buffers.push_back(&request);
    deliver();
  } else {
    state_.unsent.push_back(&request);
    send_waiting();
  }
  return Execution::later();
}

pollfd VirtioConsole::wanted() {
  return {.fd = channel_.event().fd(), .events = POLLIN, .revents = 0};
}

Status VirtioConsole::serve(short) {
  channel_.event().drain();
  announce_size();
  send_waiting();
  deliver();
  return {};
}

/// 5.3.5: the driver hears of it by a change of the configuration.
void VirtioConsole::announce_size() {
  const ConsoleSize size = channel_.size();
  if (size == std::exchange(state_.announced, size)) {
    return;
  }
  const auto both = static_cast<std::uint32_t>(size.columns | std::uint32_t{size.rows} << 16);
  static_assert(virtio_console::kRows == virtio_console::kColumns + 2);
  config_.change(virtio_console::kColumns, 4, both);
}

void VirtioConsole::deliver() {
  std::array<std::byte, 4096> bytes;
  while (!state_.buffers.empty()) {
    QueueRequest* const request = state_.buffers.front();
    const auto most = std::min<std::uint64_t>(request->chain.writable.size(), bytes.size());
    const auto count = channel_.read(std::span(bytes).first(static_cast<std::size_t>(most)));
    if (count == 0) {
      return;
    }
    state_.buffers.pop_front();
    request->chain.writable.fill(std::span(bytes).first(count));
    read_.fetch_add(count, std::memory_order_relaxed);
    request->complete(static_cast<std::uint32_t>(count));
  }
}

/// False: the host has no room.
bool VirtioConsole::send_rest() {
  const std::size_t taken = rest_.empty() ? 0 : channel_.write(rest_);
  written_.fetch_add(taken, std::memory_order_relaxed);
  rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(taken));
  return rest_.empty();
}

std::uint64_t VirtioConsole::send(const GuestBuffer& buffer, std::uint64_t from,
                                  std::uint64_t most) {
  const auto taken = walk(buffer, from, most, [this](std::span<const std::byte> bytes) {
    return channel_.write(bytes);
  });
  written_.fetch_add(taken, std::memory_order_relaxed);
  return taken;
}

void VirtioConsole::send_waiting() {
  if (!send_rest()) {
    return;
  }
  std::uint64_t left = kMostInARow;
  while (!state_.unsent.empty()) {
    QueueRequest* const request = state_.unsent.front();
    const std::uint64_t size = request->chain.readable.size();
    const std::uint64_t wanted = std::min(size - state_.sent, left);
    const std::uint64_t taken = send(request->chain.readable, state_.sent, wanted);
    state_.sent += taken;
    left -= taken;
    if (state_.sent == size) {
      state_.unsent.pop_front();
      state_.sent = 0;
      request->complete(0);
    } else if (taken < wanted) {
      return;  // the host says when it has room
    } else if (left == 0) {
      channel_.output_ready();  // another turn
      return;
    }
  }
}

void VirtioConsole::inspect(InspectNode& node) const {
  const ConsoleSize size = channel_.size();
  node.field("columns", std::uint64_t{size.columns});
  node.field("rows", std::uint64_t{size.rows});
  node.field("written", written_.load(std::memory_order_relaxed));
  node.field("read", read_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
