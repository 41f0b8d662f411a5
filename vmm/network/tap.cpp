// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/tap.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

constexpr int kHeaderSize = 12;  // VIRTIO 1.2, 5.1.6, with num_buffers
constexpr const char* kTun = "/dev/net/tun";
constexpr std::string_view kNetworks = "/sys/class/net/";

std::string attribute(const std::string& interface, std::string_view name) {
  return fmt::format("{}{}/{}", kNetworks, interface, name);
}

bool is_there(const HostSystem& host, const std::string& interface) {
  return !interface.empty() && host.exists(std::string(kNetworks) + interface);
}

ifreq request_for(const std::string& interface) {
  ifreq request{};
  interface.copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
  return request;
}

Status check_bridge(const HostSystem& host, const std::string& bridge) {
  if (!is_there(host, bridge)) {
    return fail(
        ErrorKind::kConfig,
        "bridge = \"{}\": this host has no such bridge; make one (ip link add {} type bridge; "
        "ip link set {} up), or name another one",
        bridge, bridge, bridge);
  }
  if (!host.exists(attribute(bridge, "bridge"))) {
    return fail(ErrorKind::kConfig,
                "bridge = \"{}\": this interface is no bridge; name one (ip link show type bridge)",
                bridge);
  }
  return {};
}

/// Of a tap that somebody else has made.
Status check_existing(const HostSystem& host, const TapRequest& request) {
  const auto flags = host.read_number(attribute(request.name, "tun_flags"));
  if (!flags || (*flags & IFF_TAP) == 0) {
    return fail(
        ErrorKind::kConfig,
        "tap = \"{}\": this interface is no tap; name a tap, or one that is not there, which "
        "gpuvm makes",
        request.name);
  }
  if (request.queues > 1 && (*flags & IFF_MULTI_QUEUE) == 0) {
    return fail(
        ErrorKind::kConfig,
        "tap = \"{}\" has one queue, and queues = {}: make it anew (ip tuntap add dev {} mode "
        "tap multi_queue), or remove queues",
        request.name, request.queues, request.name);
  }
  const auto master = host.link_name(attribute(request.name, "master"));
  if (!request.bridge.empty() && master.value_or("") != request.bridge) {
    return fail(
        ErrorKind::kConfig,
        "tap = \"{}\" is there already, and not in the bridge {}: ip link set {} master {}, or "
        "remove bridge",
        request.name, request.bridge, request.name, request.bridge);
  }
  if (request.mtu && host.read_number(attribute(request.name, "mtu")) != *request.mtu) {
    log::warn("The tap {} has another MTU than {}: ip link set {} mtu {}", request.name,
              *request.mtu, request.name, *request.mtu);
  }
  const auto interface_flags = host.read_number(attribute(request.name, "flags"));
  if (interface_flags && (*interface_flags & IFF_UP) == 0) {
    log::warn("The tap {} is down, and takes no frames until: ip link set {} up", request.name,
              request.name);
  }
  return {};
}

Error attach_error(const TapRequest& request, int error_number) {
  const std::string what =
      request.name.empty() ? "Cannot make a tap" : "Cannot open the tap " + request.name;
  if (error_number == EPERM) {
    return fail(
        ErrorKind::kHost,
        "{}: no permission; run gpuvm as root (CAP_NET_ADMIN), or let root make a tap for you "
        "(ip tuntap add dev NAME mode tap user YOU) and name it, or take mode = \"user\"",
        what);
  }
  if (error_number == EBUSY) {
    return fail(ErrorKind::kHost, "{}: it is in use by another program", what);
  }
  return fail_errno(ErrorKind::kHost, what, error_number);
}

/// The kernel's own interface for settings of interfaces (netdevice(7)).
Status set(int socket, unsigned long what, ifreq& request, const std::string& doing) {
  if (::ioctl(socket, what, &request) != 0) {
    return fail_errno(ErrorKind::kHost, doing);
  }
  return {};
}

/// MTU, bridge, up: all of it goes with the tap.
Status set_up(const std::string& name, const TapRequest& request) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket");
  }
  ifreq tap = request_for(name);
  if (request.mtu) {
    tap.ifr_mtu = *request.mtu;
    TRY(set(socket.get(), SIOCSIFMTU, tap,
            fmt::format("Cannot set the MTU of {} to {}", name, *request.mtu)));
  }
  if (!request.bridge.empty()) {
    ifreq bridge = request_for(request.bridge);
    bridge.ifr_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
    TRY(set(socket.get(), SIOCBRADDIF, bridge,
            fmt::format("Cannot put the tap {} into the bridge {}", name, request.bridge)));
  }
  tap = request_for(name);
  TRY(set(socket.get(), SIOCGIFFLAGS, tap, "Cannot read the flags of " + name));
  tap.ifr_flags = static_cast<short>(tap.ifr_flags | IFF_UP);
  return set(socket.get(), SIOCSIFFLAGS, tap, "Cannot put the tap " + name + " up");
}

/// What a frame's header looks like, and whether checksums and segments may be left to others.
Status set_header(Tap& tap) {
  const int size = kHeaderSize;
  if (::ioctl(tap.fd.get(), TUNSETVNETHDRSZ, &size) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set the size of headers of the tap " + tap.name);
  }
  tap.offloads =
      ::ioctl(tap.fd.get(), TUNSETOFFLOAD,
              static_cast<unsigned long>(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)) ==
          0 &&
      ::ioctl(tap.fd.get(), TUNSETOFFLOAD, 0UL) == 0;
  return {};
}

/// What a launcher handed over has come through execve(2), and so is not close-on-exec. All that
/// gpuvm opens is: such a number, of another card's tap say, would be closed twice.
/// What `fd` is, which it stays. Errors: kConfig: no tap that can be taken over.
Result<ifreq> check_given(int fd) {
  ifreq request{};
  if (const int own = ::fcntl(fd, F_GETFD); own >= 0 && (own & FD_CLOEXEC) != 0) {
    return fail(ErrorKind::kConfig,
                "fd = {} is none that gpuvm has inherited: start gpuvm with the descriptor of a "
                "tap, which was opened at {}",
                fd, kTun);
  }
  if (::ioctl(fd, TUNGETIFF, &request) != 0) {
    return fail(ErrorKind::kConfig,
                "fd = {} is no tap: start gpuvm with the descriptor of one, which was opened at {}",
                fd, kTun);
  }
  constexpr int kNeeded = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if ((request.ifr_flags & kNeeded) != kNeeded) {
    return fail(ErrorKind::kConfig,
                "fd = {}: the tap {} must be opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd,
                request.ifr_name);
  }
  return request;
}

Result<Tap> take_over(int fd) {
  const ifreq request = TRY(check_given(fd));
  Tap tap{.fd = UniqueFd(fd), .name = static_cast<const char*>(request.ifr_name)};
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, std::max(flags, 0) | O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  TRY(set_header(tap));
  return tap;
}

}  // namespace

Status check_tap(const HostSystem& host, const TapRequest& request) {
  if (request.fd) {
    const auto given = check_given(*request.fd);
    return given ? Status() : Status(given.error());
  }
  if (!request.bridge.empty()) {
    TRY(check_bridge(host, request.bridge));
  }
  if (is_there(host, request.name)) {
    TRY(check_existing(host, request));
  }
  if (!host.exists(kTun)) {
    return fail(ErrorKind::kHost, "This host has no {}: modprobe tun", kTun);
  }
  return {};
}

namespace {

Result<UniqueFd> open_tun() {
  UniqueFd fd(::open(kTun, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot open {}", kTun));
  }
  return fd;
}

/// Further queues of a tap that has several.
Status open_more(const TapRequest& request, Tap& tap) {
  for (std::uint16_t i = 1; i < request.queues; ++i) {
    auto fd = TRY(open_tun());
    ifreq wanted = request_for(tap.name);
    wanted.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    if (::ioctl(fd.get(), TUNSETIFF, &wanted) != 0) {
      return fail_errno(ErrorKind::kHost,
                        fmt::format("Cannot open queue {} of the tap {}", i, tap.name));
    }
    tap.more.push_back(std::move(fd));
  }
  return {};
}

}  // namespace

Result<Tap> open_tap(const HostSystem& host, const TapRequest& request) {
  if (request.fd) {
    return take_over(*request.fd);
  }
  TRY(check_tap(host, request));
  Tap tap{.fd = TRY(open_tun()), .name = {}};
  const bool is_made = !is_there(host, request.name);
  const auto others = host.read_number(attribute(request.name, "tun_flags")).value_or(0);
  const int several = request.queues > 1 ? IFF_MULTI_QUEUE : 0;
  const int more = is_made ? IFF_TUN_EXCL | several : static_cast<int>(others & IFF_MULTI_QUEUE);
  ifreq wanted = request_for(request.name.empty() ? "gpuvm%d" : request.name);
  wanted.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | more);
  if (::ioctl(tap.fd.get(), TUNSETIFF, &wanted) != 0) {
    return attach_error(request, errno);
  }
  tap.name = static_cast<const char*>(wanted.ifr_name);
  TRY(open_more(request, tap));
  TRY(set_header(tap));
  if (is_made) {
    TRY(set_up(tap.name, request));
  }
  log::debug("The tap {} is {}", tap.name, is_made ? "made" : "open");
  return tap;
}

}  // namespace gpuvm
