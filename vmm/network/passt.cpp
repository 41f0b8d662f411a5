// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/passt.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "vmm/base/log.hpp"
#include "vmm/helper/program.hpp"

namespace gpuvm {
namespace {

constexpr std::chrono::milliseconds kStartPatience{10000};
constexpr int kEndPatienceMs = 2000;

Error missing(const std::string& program) {
  return fail(
      ErrorKind::kHost,
      "mode = \"user\" needs the program {}, which is not installed: apt install passt (dnf "
      "install passt), or take mode = \"tap\"",
      program);
}

struct SocketAddress {
  sockaddr_storage bytes = {};
  socklen_t size = 0;
};

/// Of a forward; all of the host's IPv4 ones where it names none.
SocketAddress address_of(const Passt::Forward& forward) {
  SocketAddress address;
  auto* const four = reinterpret_cast<sockaddr_in*>(&address.bytes);
  auto* const six = reinterpret_cast<sockaddr_in6*>(&address.bytes);
  if (::inet_pton(AF_INET6, forward.address.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(forward.host);
    address.size = sizeof *six;
    return address;
  }
  address.bytes = {};
  ::inet_pton(AF_INET, forward.address.c_str(), &four->sin_addr);
  four->sin_family = AF_INET;
  four->sin_port = htons(forward.host);
  address.size = sizeof *four;
  return address;
}

/// passt itself goes on without a port that is in use.
Status check_port(const Passt::Forward& forward) {
  const SocketAddress address = address_of(forward);
  const UniqueFd socket(::socket(address.bytes.ss_family,
                                 (forward.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  if (!socket) {
    return {};  // no IPv6, say: passt tells
  }
  const int yes = 1;
  if (!forward.udp) {  // connections that have ended do not matter
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  }
  const auto* const raw = reinterpret_cast<const sockaddr*>(&address.bytes);
  if (::bind(socket.get(), raw, address.size) == 0 &&
      (forward.udp || ::listen(socket.get(), 1) == 0)) {
    return {};
  }
  const int error = errno;
  const std::string port =
      fmt::format("{} port {}{}{}", forward.udp ? "UDP" : "TCP", forward.address,
                  forward.address.empty() ? "" : "/", forward.host);
  if (error == EADDRINUSE) {
    return fail(ErrorKind::kHost, "forward: {} of this host is in use (ss -lnp); take another one",
                port);
  }
  return fail_errno(ErrorKind::kHost, "forward: cannot have " + port + " of this host", error);
}

std::vector<std::string> arguments_of(const Passt::Options& options) {
  std::vector<std::string> arguments{"passt", "--quiet", "--fd",
                                     std::to_string(kFirstFileOfProgram)};
  if (!options.host_loopback) {
    arguments.emplace_back("--no-map-gw");
  }
  for (const auto& server : options.name_servers) {
    arguments.insert(arguments.end(), {"--dns", server});
  }
  if (options.mtu) {
    arguments.insert(arguments.end(), {"--mtu", std::to_string(*options.mtu)});
  }
  for (const auto& forward : options.forward) {
    arguments.emplace_back(forward.udp ? "--udp-ports" : "--tcp-ports");
    arguments.push_back(fmt::format("{}{}{}:{}", forward.address,
                                    forward.address.empty() ? "" : "/", forward.host,
                                    forward.guest));
  }
  return arguments;
}

/// With a port that only root may have, the right to it. (Hosts may have another first one:
/// net.ipv4.ip_unprivileged_port_start.)
std::optional<HelperConfinement> confinement_of(const Passt::Options& options) {
  if (options.profile == nullptr) {
    return std::nullopt;
  }
  constexpr std::uint16_t kFirstOrdinaryPort = 1024;
  HelperConfinement confinement{.profile = options.profile, .user = options.user};
  for (const auto& forward : options.forward) {
    if (forward.host < kFirstOrdinaryPort) {
      confinement.capabilities = sandbox::capability(CAP_NET_BIND_SERVICE);
    }
  }
  return confinement;
}

/// Both ends close-on-exec.
Result<std::array<UniqueFd, 2>> make_sockets() {
  std::array<int, 2> fds{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket for passt");
  }
  return std::array<UniqueFd, 2>{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

Status Passt::check(const Options& options) {
  if (find_program(options.program).empty()) {
    return missing(options.program);
  }
  for (const auto& forward : options.forward) {
    TRY(check_port(forward));
  }
  return {};
}

Result<std::unique_ptr<Passt>> Passt::start(const Options& options) {
  TRY(check(options));
  auto sockets = TRY(make_sockets());
  auto end = TRY(run_program({.path = find_program(options.program),
                              .arguments = arguments_of(options),
                              .files = {sockets[1].get()},
                              .confinement = confinement_of(options),
                              .keeps_privileges = true},
                             kStartPatience));
  sockets[1].reset();
  if (!end.is_good()) {
    return fail(ErrorKind::kHost, "passt does not start ({}): {}", text_of_end(end.status),
                end.text);
  }
  return std::unique_ptr<Passt>(new Passt(std::move(sockets[0]), std::move(end.layers)));
}

Passt::~Passt() {
  ::shutdown(socket_.get(), SHUT_WR);
  pollfd gone{.fd = socket_.get(), .events = 0, .revents = 0};
  if (::poll(&gone, 1, kEndPatienceMs) == 0) {
    log::warn("passt is still there {} ms after its socket was closed", kEndPatienceMs);
  }
}

Result<UniqueFd> Passt::socket() const {
  UniqueFd another(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
  if (!another) {
    return fail_errno(ErrorKind::kHost, "Cannot have another descriptor of passt's socket");
  }
  return another;
}

}  // namespace gpuvm
