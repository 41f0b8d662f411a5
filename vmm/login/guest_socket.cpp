// SPDX-License-Identifier: Apache-2.0
#include "vmm/login/guest_socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "vmm/base/socket_descriptors.hpp"

// After <sys/socket.h>, whose sockaddr it uses.
#include <linux/vm_sockets.h>

namespace gpuvm {
namespace {

using SocketClock = std::chrono::steady_clock;

int left_of(SocketClock::time_point end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - SocketClock::now()).count();
  return static_cast<int>(left > 0 ? left : 0);
}

/// False: not within the time.
bool wait_until_ready(int fd, short events, SocketClock::time_point end) {
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  int got = 0;
  do {
    got = ::poll(&waiting, 1, left_of(end));
  } while (got < 0 && errno == EINTR);
  return got > 0;
}

Result<UniqueFd> connect_socket(int family, const sockaddr* address, socklen_t size,
                                const std::string& what, std::chrono::milliseconds limit) {
  const auto end = SocketClock::now() + limit;
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) {
    return fail_errno(ErrorKind::kHost, "Cannot have a socket for " + what);
  }
  int error = ::connect(socket.get(), address, size) == 0 ? 0 : errno;
  if (error == EINPROGRESS || error == EINTR) {
    socklen_t length = sizeof error;
    if (!wait_until_ready(socket.get(), POLLOUT, end)) {
      error = ETIMEDOUT;
    } else if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
      error = errno;
    }
  }
  if (error != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot connect to " + what, error);
  }
  const int flags = ::fcntl(socket.get(), F_GETFL);
  ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);  // ssh decides for itself
  return socket;
}

}  // namespace

Result<UniqueFd> connect_to_vsock(std::uint32_t cid, std::uint32_t port,
                                  std::chrono::milliseconds limit) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = cid;
  address.svm_port = port;
  return connect_socket(AF_VSOCK, reinterpret_cast<const sockaddr*>(&address), sizeof address,
                        fmt::format("vsock {}:{}", cid, port), limit);
}

Result<UniqueFd> connect_to_port(const std::string& address, std::uint16_t port,
                                 std::chrono::milliseconds limit) {
  const std::string what = fmt::format("{} port {}", address, port);
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &four.sin_addr) == 1) {
    return connect_socket(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof four, what,
                          limit);
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, address.c_str(), &six.sin6_addr) != 1) {
    return fail(ErrorKind::kHost, "{} is no address", address);
  }
  return connect_socket(AF_INET6, reinterpret_cast<const sockaddr*>(&six), sizeof six, what, limit);
}

bool speaks_ssh(const UniqueFd& socket, std::chrono::milliseconds limit) {
  constexpr std::string_view kBeginning = "SSH-";
  constexpr std::string_view kWhoAsks = "SSH-2.0-gpuvm\r\n";
  if (::send(socket.get(), kWhoAsks.data(), kWhoAsks.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    return false;
  }
  const auto end = SocketClock::now() + limit;
  std::array<char, kBeginning.size()> said{};
  std::size_t got = 0;
  while (got < said.size() && wait_until_ready(socket.get(), POLLIN, end)) {
    const ssize_t more = ::recv(socket.get(), said.data() + got, said.size() - got, MSG_DONTWAIT);
    if (more < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (more <= 0) {
      break;
    }
    got += static_cast<std::size_t>(more);
  }
  return std::string_view(said.data(), got) == kBeginning;
}

Status pass_descriptor(int socket, const UniqueFd& what) {
  char nothing = 0;
  iovec data{.iov_base = &nothing, .iov_len = 1};
  DescriptorRoom<1> room;
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  const int fd = what.get();
  attach_descriptors(message, room, {&fd, 1});
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) != 1) {
    return fail_errno(ErrorKind::kHost, "Cannot pass the connection on to ssh");
  }
  return {};
}

}  // namespace gpuvm
