// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/services/vsock.hpp"

#include <fcntl.h>

#include <cerrno>

namespace gpuvm {
namespace {

constexpr const char* kVhostVsock = "/dev/vhost-vsock";

Result<UniqueFd> open_vhost_vsock(const HostSystem& host) {
  UniqueFd vhost(::open(host.path(kVhostVsock).c_str(), O_RDWR | O_CLOEXEC));
  if (vhost) {
    return vhost;
  }
  if (errno == EACCES || errno == EPERM) {
    return fail(ErrorKind::kHost,
                "no permission to open {}: run gpuvm as root, or as a member of the "
                "group that has it (ls -l {})",
                kVhostVsock, kVhostVsock);
  }
  if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
    return fail(ErrorKind::kHost,
                "this host has no {}: modprobe vhost_vsock, or remove the section", kVhostVsock);
  }
  return fail_errno(ErrorKind::kHost, fmt::format("cannot open {}", kVhostVsock));
}

}  // namespace

Result<std::optional<VsockAddress>> open_vsock(const HostSystem& host,
                                               const std::optional<VsockConfig>& config,
                                               std::string_view guest) {
  if (!config) {
    return std::optional<VsockAddress>();
  }
  const auto place = config->place.or_else("[vsock]");
  auto vhost = TRY_CONTEXT(open_vhost_vsock(host), place);
  return std::optional(
      TRY_CONTEXT(VsockAddress::take(std::move(vhost), config->cid, guest), place));
}

std::string vsock_text(const VsockConfig& config, std::string_view guest) {
  return config.cid ? fmt::format("CID {}", *config.cid)
                    : fmt::format("CID {}, or another one if that is in use",
                                  VsockAddress::preferred(guest));
}

}  // namespace gpuvm
