// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/tap_link.hpp"

#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "devices/virtio/net/net_spec.hpp"

namespace gpuvm {

std::uint64_t TapLink::offloads() const {
  return options_.offloads ? virtio_net::kOffloads : 0;
}

/// What the guest can receive: the kernel does the rest itself before it hands a frame on.
unsigned TapLink::flags_of(std::uint64_t features) {
  unsigned flags = 0;
  const auto add = [&](std::uint64_t feature, unsigned flag) {
    flags |= (features & feature) != 0 ? flag : 0U;
  };
  add(virtio_net::kFeatureGuestChecksum, TUN_F_CSUM);
  if (flags != 0) {  // 5.1.3.1: the others require it
    add(virtio_net::kFeatureGuestTso4, TUN_F_TSO4);
    add(virtio_net::kFeatureGuestTso6, TUN_F_TSO6);
    add(virtio_net::kFeatureGuestEcn, TUN_F_TSO_ECN);
  }
  if ((flags & (TUN_F_TSO4 | TUN_F_TSO6)) == 0) {
    flags &= ~static_cast<unsigned>(TUN_F_TSO_ECN);
  }
  return flags;
}

/// A change holds the lock of all of the host's network interfaces (RTNL), and all who watch them
/// are told of it. A driver that starts again and again with other features waits.
void TapLink::set_offloads(std::uint64_t features) {
  const unsigned flags = flags_of(features);
  if (!options_.offloads || offloads_set_ == flags) {
    return;
  }
  if (const auto rest = changes_.rest(TokenBucket::Clock::now()); rest.count() > 0) {
    options_.sleep(rest);
  }
  changes_.take(1);
  offloads_set_ = flags;
  // A driver that starts again and again on a tap that is gone must not fill the log.
  if (::ioctl(options_.fd.get(), TUNSETOFFLOAD, static_cast<unsigned long>(flags)) != 0) {
    offloads_set_.reset();
    if (limit_.allow()) {
      log::warn(
          "{}",
          fail_errno(ErrorKind::kHost, "Cannot set the offloads of " + options_.name).to_string());
    }
  }
}

/// EIO: the interface is down; EINVAL: the guest's header or frame makes no sense.
Result<NetworkLink::Sent> TapLink::send(std::span<const iovec> frame) {
  if (::writev(options_.fd.get(), frame.data(), static_cast<int>(frame.size())) >= 0) {
    return Sent::kSent;
  }
  if (errno == EBADFD || errno == EPIPE || errno == ECONNRESET) {
    return fail_errno(ErrorKind::kHost, "The tap " + options_.name + " is gone");
  }
  return Sent::kDropped;
}

/// EINVAL: the kernel has taken a frame out whose kind of segments no virtio header can name, and
/// has thrown it away (tun_put_user() in drivers/net/tun.c); the next ones come.
Result<std::size_t> TapLink::receive(std::span<std::byte> frame) {
  const auto got = ::read(options_.fd.get(), frame.data(), frame.size());
  if (got > 0) {
    return static_cast<std::size_t>(got);
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == EINVAL)) {
    return std::size_t{0};
  }
  return fail_errno(ErrorKind::kHost, "The tap " + options_.name + " is gone",
                    got == 0 ? EPIPE : errno);
}

void TapLink::inspect(InspectNode& node) const {
  node.field("mode", "tap");
  node.field("tap", options_.name);
}

}  // namespace gpuvm
