// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio_user/message_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/base/bytes.hpp"
#include "vmm/base/socket_descriptors.hpp"

namespace gpuvm::vfio_user {
namespace {

/// More than we send with any message (see ServerLimits).
constexpr std::size_t kMaxSentFds = 16;

/// Whoever serves the socket gets the guest's memory. In a folder where others may make files one
/// of them may have been faster than the server that is meant.
Status check_peer(int fd, const std::string& path) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot find out who serves " + path);
  }
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  struct stat above {};
  const bool is_folders_owner = ::stat(folder.c_str(), &above) == 0 && above.st_uid == peer.uid;
  if (peer.uid == 0 || peer.uid == ::geteuid() || is_folders_owner) {
    return {};
  }
  return fail(ErrorKind::kHost,
              "The vfio-user server at {} is user {}'s, who is neither root, nor gpuvm's user, nor "
              "the owner of the socket's folder: put the socket into a folder of that user",
              path, peer.uid);
}

Error closed_error(int error) {
  if (error == 0 || error == ECONNRESET || error == EPIPE) {
    return fail(ErrorKind::kHost, "it closed the connection");
  }
  if (error == EAGAIN || error == EWOULDBLOCK) {
    return fail(ErrorKind::kHost, "it does not read what is sent to it");
  }
  return fail_errno(ErrorKind::kHost, "the connection broke", error);
}

}  // namespace

Result<MessageSocket> MessageSocket::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kConfig, "The path of a socket has 1 to {} characters: {}",
                sizeof address.sun_path - 1, path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot create a socket");
  }
  // SAFETY: sockaddr_un is what AF_UNIX's address is.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    // As any file that the configuration names; one whose server has gone is the host's affair.
    const auto kind = errno == ENOENT || errno == ENOTDIR ? ErrorKind::kConfig : ErrorKind::kHost;
    return fail_errno(
        kind,
        fmt::format("Cannot reach a vfio-user server at {} (start it first, and let this user "
                    "write to its socket)",
                    path));
  }
  TRY(check_peer(fd.get(), path));
  return MessageSocket(std::move(fd));
}

Status MessageSocket::set_send_timeout(std::chrono::milliseconds time) {
  const timeval limit{.tv_sec = time.count() / 1000, .tv_usec = time.count() % 1000 * 1000};
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot limit the time of a socket");
  }
  return {};
}

Status MessageSocket::send(Header header, std::span<const std::byte> payload,
                           std::span<const int> fds) {
  if (fds.size() > kMaxSentFds || payload.size() > kMaxPayload) {
    return fail(ErrorKind::kInternal, "A vfio-user message is too long");
  }
  header.size = static_cast<std::uint32_t>(sizeof header + payload.size());
  Bytes bytes;
  append_bytes(bytes, header);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  DescriptorRoom<kMaxSentFds> room;
  std::size_t done = 0;
  while (done < bytes.size()) {
    iovec rest{.iov_base = bytes.data() + done, .iov_len = bytes.size() - done};
    msghdr message{};
    message.msg_iov = &rest;
    message.msg_iovlen = 1;
    if (done == 0 && !fds.empty()) {
      attach_descriptors(message, room, fds);
    }
    const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent < 0) {
      return closed_error(errno);
    }
    done += static_cast<std::size_t>(sent);
  }
  return {};
}

/// Descriptors come with the first bytes of their message.
Result<Header> MessageSocket::receive_header(std::vector<UniqueFd>& fds) {
  Header header{};
  std::size_t done = 0;
  while (done < sizeof header) {
    // SAFETY: `done` is less than the size of the header.
    iovec rest{.iov_base = reinterpret_cast<std::byte*>(&header) + done,
               .iov_len = sizeof header - done};
    DescriptorRoom<kMaxReceivedFds> room;
    msghdr message{};
    message.msg_iov = &rest;
    message.msg_iovlen = 1;
    room.offer_to(message);
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return closed_error(got < 0 ? errno : 0);
    }
    auto more = take_descriptors(message);
    fds.insert(fds.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
    if ((message.msg_flags & MSG_CTRUNC) != 0 || fds.size() > kMaxReceivedFds) {
      return fail(ErrorKind::kHost, "it sent more than {} file descriptors with a message",
                  kMaxReceivedFds);
    }
    done += static_cast<std::size_t>(got);
  }
  return header;
}

Status MessageSocket::receive_bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    // Without room for ancillary data the kernel closes descriptors that come here.
    const ssize_t got = ::recv(fd_.get(), out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return closed_error(got < 0 ? errno : 0);
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<Message> MessageSocket::receive() {
  Message message;
  message.header = TRY(receive_header(message.fds));
  if (message.header.size < sizeof(Header) || message.header.size > sizeof(Header) + kMaxPayload) {
    return fail(ErrorKind::kHost, "it sent a message of {} bytes", message.header.size);
  }
  message.payload.resize(message.header.size - sizeof(Header));
  TRY(receive_bytes(message.payload));
  return message;
}

void MessageSocket::shut_down() const {
  ::shutdown(fd_.get(), SHUT_RDWR);
}

}  // namespace gpuvm::vfio_user
