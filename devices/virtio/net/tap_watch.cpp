// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/tap_watch.hpp"

#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace gpuvm {

Result<TapWatch> TapWatch::create(int tap) {
  UniqueFd changes(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!changes ||
      ::bind(changes.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot watch the host's network interfaces");
  }
  return TapWatch(std::move(changes), tap);
}

/// What the messages say does not matter, nor that some were lost: the tap itself is asked.
void TapWatch::take() const {
  std::array<std::byte, 8192> message{};
  constexpr unsigned kMostInARow = 1000;
  for (unsigned i = 0; i < kMostInARow; ++i) {
    const auto got = ::recv(changes_.get(), message.data(), message.size(), 0);
    if (got < 0 && errno != ENOBUFS && errno != EINTR) {
      return;
    }
  }
}

bool TapWatch::is_gone() const {
  ifreq request{};
  return ::ioctl(tap_, TUNGETIFF, &request) != 0 && errno == EBADFD;
}

}  // namespace gpuvm
