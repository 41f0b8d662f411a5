// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/stream_link.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace gpuvm {
namespace {

constexpr std::size_t kMostOfPeer = virtio_net::kMostFrame - virtio_net::kHeaderSize;
/// passt ends at a longer frame, and at one without an Ethernet header (passt, tap.h,
/// L2_MAX_LEN_PASST, and tap_passt_input() in tap.c): such a frame must not cost the link.
constexpr std::size_t kMostToPeer = 65535;

bool is_for_later(int error_number) {
  return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

}  // namespace

StreamLink::StreamLink(Options options) : options_(std::move(options)), in_(kPrefix + kMostOfPeer) {
  out_.reserve(kPrefix + kMostOfPeer);
}

Error StreamLink::lost(int error_number) const {
  return error_number == 0
             ? fail(ErrorKind::kHost, "{} has closed its socket", options_.peer)
             : fail_errno(ErrorKind::kHost, options_.peer + " cannot be reached", error_number);
}

/// Copies the frame: what cannot go now goes by flush(), without the guest's memory.
Result<NetworkLink::Sent> StreamLink::send(std::span<const iovec> frame) {
  TRY(flush());
  if (has_unsent()) {
    return Sent::kFull;
  }
  std::size_t size = 0;
  for (const auto& piece : frame) {
    size += piece.iov_len;
  }
  if (size < virtio_net::kHeaderSize + virtio_net::kEthernetHeader ||
      size > virtio_net::kHeaderSize + kMostToPeer) {
    return Sent::kDropped;
  }
  const std::uint32_t length = htonl(static_cast<std::uint32_t>(size - virtio_net::kHeaderSize));
  const auto prefix = std::as_bytes(std::span(&length, 1));
  out_.assign(prefix.begin(), prefix.end());
  std::size_t skip = virtio_net::kHeaderSize;
  for (const auto& piece : frame) {
    const std::size_t skipped = std::min(skip, piece.iov_len);
    const auto* const first = static_cast<const std::byte*>(piece.iov_base);
    out_.insert(out_.end(), first + skipped, first + piece.iov_len);
    skip -= skipped;
  }
  sent_ = 0;
  TRY(flush());
  return Sent::kSent;
}

Status StreamLink::flush() {
  while (has_unsent()) {
    const auto sent = ::send(options_.socket.get(), out_.data() + sent_, out_.size() - sent_,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      return is_for_later(errno) ? Status() : Status(lost(errno));
    }
    sent_ += static_cast<std::size_t>(sent);
  }
  return {};
}

/// Reads until `size` bytes are in in_; false: they are not all there yet.
Result<bool> StreamLink::fill(std::size_t size) {
  while (got_ < size) {
    const auto got = ::recv(options_.socket.get(), in_.data() + got_, size - got_, MSG_DONTWAIT);
    if (got < 0 && is_for_later(errno)) {
      return false;
    }
    if (got <= 0) {
      return lost(got == 0 ? 0 : errno);
    }
    got_ += static_cast<std::size_t>(got);
  }
  return true;
}

Result<std::size_t> StreamLink::receive(std::span<std::byte> frame) {
  if (!TRY(fill(kPrefix))) {
    return std::size_t{0};
  }
  std::uint32_t prefix = 0;
  std::memcpy(&prefix, in_.data(), sizeof prefix);
  const std::size_t length = ntohl(prefix);
  if (length < virtio_net::kEthernetHeader || length > kMostOfPeer) {
    return fail(ErrorKind::kHost, "{} has sent a frame of {} bytes, which cannot be", options_.peer,
                length);
  }
  if (!TRY(fill(kPrefix + length))) {
    return std::size_t{0};
  }
  got_ = 0;
  std::fill_n(frame.begin(), virtio_net::kHeaderSize, std::byte{0});
  std::copy_n(in_.begin() + kPrefix, length, frame.begin() + virtio_net::kHeaderSize);
  return virtio_net::kHeaderSize + length;
}

void StreamLink::inspect(InspectNode& node) const {
  node.field("mode", "user");
  node.field("peer", options_.peer);
}

}  // namespace gpuvm
