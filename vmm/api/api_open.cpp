// SPDX-License-Identifier: Apache-2.0
// What `[control]` wants, and what is done where that cannot be: ApiServer::open().
#include <utility>

#include "vmm/api/api_server.hpp"
#include "vmm/base/log.hpp"
#include "vmm/guests/peer.hpp"

namespace gpuvm {
namespace {

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
    options.group = TRY(group_of_socket(config.group));
  }
  std::string path = config.path;
  if (is_auto) {
    auto own = guest_socket_path(options.guest.name);
    const Status folder = own ? check_socket_folder(*own) : Status(own.error());
    if (!folder) {
      return without_socket(folder.error().to_string());
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
