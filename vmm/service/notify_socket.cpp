// SPDX-License-Identifier: Apache-2.0
#include "vmm/service/notify_socket.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "vmm/base/text.hpp"

namespace gpuvm {
namespace {

bool leads_back(std::string_view path) {
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    if (path.substr(begin, end - begin) == "..") {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

Error refused_address(std::string_view address, std::string_view why) {
  return fail(ErrorKind::kHost,
              "NOTIFY_SOCKET=\"{}\" {}: the service manager is told nothing; under systemd, leave "
              "it as systemd sets it",
              terminal_text(address.substr(0, sizeof(sockaddr_un::sun_path))), why);
}

/// Another descriptor of an open socket for packets, whose other end is the owner's
/// (vmm/owner/notify_relay.hpp).
Result<UniqueFd> open_inherited(std::string_view address, std::string_view number) {
  int fd = -1;
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, fd);
  int type = 0;
  socklen_t size = sizeof type;
  const bool is_one = error == std::errc{} && stop == end &&
                      ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                      type == SOCK_SEQPACKET;
  UniqueFd another(is_one ? ::fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1);
  if (!another) {
    return refused_address(address, "is no open socket for packets");
  }
  return another;
}

}  // namespace

Result<NotifySocket> NotifySocket::open(std::string_view address) {
  constexpr std::string_view kInherited = "fd:";
  if (address.starts_with(kInherited)) {
    return NotifySocket(TRY(open_inherited(address, address.substr(kInherited.size()))));
  }
  const bool is_abstract = address.size() > 1 && address.front() == '@';
  if (!is_abstract && (address.size() < 2 || address.front() != '/')) {
    return refused_address(address, "is neither an absolute path nor \"@\" and a name");
  }
  if (!is_abstract && leads_back(address)) {
    return refused_address(address, "leads through \"..\"");
  }
  sockaddr_un name{};
  // A path is followed by a NUL.
  const std::size_t longest = sizeof(name.sun_path) - (is_abstract ? 0U : 1U);
  if (address.size() > longest) {
    return refused_address(address, "is too long for a socket");
  }
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.data(), address.size());
  std::size_t size = offsetof(sockaddr_un, sun_path) + address.size();
  if (is_abstract) {
    name.sun_path[0] = '\0';
  } else {
    ++size;
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket to tell the service manager");
  }
  // Once: threads with a role (vmm/sandbox) may send to nobody else. Where nobody listens, send()
  // says so each time.
  static_cast<void>(
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(size)));
  return NotifySocket(std::move(fd));
}

bool NotifySocket::send(std::string_view notification) const {
  const auto sent =
      ::send(fd_.get(), notification.data(), notification.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(notification.size());
}

}  // namespace gpuvm
