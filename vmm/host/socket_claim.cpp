// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/socket_claim.hpp"

#include <sys/stat.h>

#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/run_process.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kPrefix = "socket-";

/// What owners left that did not end well: servers that are gone have no other who cleans up.
void sweep(const HostSystem& host) {
  for (const std::string& name : host.list(kStateDirectory)) {
    if (!name.starts_with(kPrefix)) {
      continue;
    }
    auto stale = StateFile::claim(
        host, name, [](const std::string& path) { return fail(ErrorKind::kHost, "{}", path); });
    if (stale) {
      stale->remove();
    }
  }
}

Error busy_error(const HostSystem& host, const std::string& socket, const std::string& file) {
  const auto text = host.read(file);
  const auto record = DeviceRecord::parse(text ? *text : "");
  if (record.pid == 0) {
    return fail(ErrorKind::kHost, "{} belongs to another gpuvm that is just starting", socket);
  }
  return fail(ErrorKind::kHost, "{} belongs to {} (gpuvm, pid {}): stop that first", socket,
              record.owner, record.pid);
}

}  // namespace

Result<SocketClaim> SocketClaim::take(const HostSystem& host, const std::string& socket,
                                      std::string_view owner) {
  struct stat status {};
  if (::stat(socket.c_str(), &status) != 0) {
    return SocketClaim(std::nullopt);
  }
  if (!may_write_state(host)) {
    log::debug("{}: without the right to write {} nothing keeps a second gpuvm from it", socket,
               kStateDirectory);
    return SocketClaim(std::nullopt);
  }
  sweep(host);
  const std::string name =
      fmt::format("{}{:x}-{:x}{}", kPrefix, status.st_dev, status.st_ino, kClaimSuffix);
  const std::string file = fmt::format("{}/{}", kStateDirectory, name);
  SocketClaim claim(TRY(StateFile::claim(
      host, name, [&](const std::string&) { return busy_error(host, socket, file); })));
  DeviceRecord record;
  record.owner = owner;
  record.pid = run_process();
  TRY(claim.file_->write(record.to_text()));
  return claim;
}

SocketClaim::SocketClaim(SocketClaim&& other) noexcept
    : file_(std::exchange(other.file_, std::nullopt)) {}

std::optional<StateFile> SocketClaim::hand_over() {
  return std::exchange(file_, std::nullopt);
}

SocketClaim::~SocketClaim() {
  if (file_) {
    file_->remove();
  }
}

}  // namespace gpuvm
