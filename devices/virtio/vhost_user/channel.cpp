// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vhost_user/channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "vmm/base/bytes.hpp"
#include "vmm/base/socket_descriptors.hpp"

namespace gpuvm::vhost_user {
namespace {

/// Room for what is received, which is then an error: the descriptors must be closed.
constexpr std::size_t kFdRoom = 32;

Error connection_error(int error) {
  if (error == 0 || error == ECONNRESET || error == EPIPE) {
    return fail(ErrorKind::kHost, "{}", kClosed);
  }
  return fail_errno(ErrorKind::kHost, "the connection broke", error);
}

bool is_passing(int error) {
  return error == EINTR || error == EAGAIN || error == EWOULDBLOCK;
}

/// Closes the descriptors in received ancillary data; true if there were any.
bool drop_fds(msghdr& message) {
  return !take_descriptors(message).empty() || (message.msg_flags & MSG_CTRUNC) != 0;
}

}  // namespace

Status Channel::await(short events, Deadline deadline) const {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return fail(
          ErrorKind::kHost, "{}",
          events == POLLIN ? "it does not answer in time" : "it does not read what is sent");
    }
    pollfd ready{.fd = fd_.get(), .events = events, .revents = 0};
    const int count =
        ::poll(&ready, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 10000)));
    if (count > 0) {
      return {};
    }
    if (count < 0 && errno != EINTR) {
      return connection_error(errno);
    }
  }
}

Status Channel::send(Header header, std::span<const std::byte> payload, std::span<const int> fds,
                     Deadline deadline) const {
  if (fds.size() > kMaxRegions) {
    return fail(ErrorKind::kInternal, "A vhost-user message has too many descriptors");
  }
  header.flags = (header.flags & ~kVersionMask) | kVersion;
  header.size = static_cast<std::uint32_t>(payload.size());
  Bytes bytes;
  append_bytes(bytes, header);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  DescriptorRoom<kMaxRegions> room;
  for (std::size_t done = 0; done < bytes.size();) {
    iovec rest{.iov_base = bytes.data() + done, .iov_len = bytes.size() - done};
    msghdr message{};
    message.msg_iov = &rest;
    message.msg_iovlen = 1;
    if (done == 0 && !fds.empty()) {
      attach_descriptors(message, room, fds);
    }
    const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      done += static_cast<std::size_t>(sent);
    } else if (is_passing(errno)) {
      TRY(await(POLLOUT, deadline));
    } else {
      return connection_error(errno);
    }
  }
  return {};
}

Status Channel::receive_bytes(std::span<std::byte> out, Deadline deadline) const {
  while (!out.empty()) {
    iovec rest{.iov_base = out.data(), .iov_len = out.size()};
    DescriptorRoom<kFdRoom> room;
    msghdr message{};
    message.msg_iov = &rest;
    message.msg_iovlen = 1;
    room.offer_to(message);
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && is_passing(errno)) {
      TRY(await(POLLIN, deadline));
      continue;
    }
    if (got <= 0) {
      return connection_error(got < 0 ? errno : 0);
    }
    if (drop_fds(message)) {
      return fail(ErrorKind::kHost, "it sent file descriptors that nobody asked for");
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<Message> Channel::receive(Deadline deadline) const {
  Message message;
  TRY(receive_bytes(std::as_writable_bytes(std::span(&message.header, 1)), deadline));
  if ((message.header.flags & kVersionMask) != kVersion || message.header.size > kMaxPayload) {
    return fail(ErrorKind::kHost, "it sent a message of {} bytes with flags {:#x}",
                message.header.size, message.header.flags);
  }
  message.payload.resize(message.header.size);
  TRY(receive_bytes(message.payload, deadline));
  return message;
}

void Channel::shut_down() const {
  if (fd_) {
    ::shutdown(fd_.get(), SHUT_RDWR);
  }
}

}  // namespace gpuvm::vhost_user
