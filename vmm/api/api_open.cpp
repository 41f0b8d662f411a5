// SPDX-License-Identifier: Apache-2.0
// What `[control]` wants, and what is done where that cannot be: ApiServer::open().
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "vmm/api/api_server.hpp"
#include "vmm/api/peer.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// Whether the folder of a socket is there, or can be, and may be written.
bool has_folder(const std::string& socket) {
  const auto folder = std::filesystem::path(socket).parent_path();
  const auto above = folder.parent_path();
  return ::access(folder.c_str(), W_OK) == 0 ||
         (::access(folder.c_str(), F_OK) != 0 && ::access(above.c_str(), W_OK) == 0);
}

std::unique_ptr<ApiServer> without_socket(const std::string& why) {
  log::warn("The guest has no control socket, so gpuvm ps, stop and console do not find it: {}",
            why);
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::open(boost::asio::io_context& control,
                                                   GuestControl& guest, const ControlConfig& config,
                                                   Options options, bool shares_name) {
  const bool is_auto = config.socket == ControlConfig::Socket::kAuto;
  if (config.socket == ControlConfig::Socket::kOff) {
    return std::unique_ptr<ApiServer>();
  }
  if (!config.group.empty()) {
    options.group = TRY(group_id(config.group));
  }
  std::string path = config.path;
  if (is_auto) {
    auto own = guest_socket_path(options.guest.name);
    if (!own || !has_folder(*own)) {
      return without_socket(own ? "Cannot write to the folder of " + *own
                                : own.error().to_string());
    }
    path = *std::move(own);
  }
  auto claim = GuestSocketClaim::take(path);
  if (!claim && is_auto && shares_name) {
    return without_socket(claim.error().to_string());
  }
  return start(control, guest, TRY(std::move(claim)), std::move(options));
}

}  // namespace gpuvm
