// SPDX-License-Identifier: Apache-2.0
// What `[control]` wants, and what is done where that cannot be: ApiServer::open().
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "vmm/api/api_server.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/trusted_folder.hpp"
#include "vmm/guests/peer.hpp"

namespace gpuvm {
namespace {

/// Why there can be no socket in its folder; "": there can, in one that is there or can be made.
std::string problem_of_folder(const std::string& socket) {
  const auto folder = std::filesystem::path(socket).parent_path();
  const auto trusted = open_trusted_folder(folder);
  if (!trusted) {
    return trusted.error().to_string();
  }
  const auto above = folder.parent_path();
  const bool may_be_there = *trusted ? ::access(folder.c_str(), W_OK) == 0
                                     : ::access(folder.c_str(), F_OK) != 0 &&
                                           ::access(above.c_str(), W_OK) == 0;
  return may_be_there ? "" : fmt::format("Cannot write to the folder of {}", socket);
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
    const std::string problem = own ? problem_of_folder(*own) : own.error().to_string();
    if (!problem.empty()) {
      return without_socket(problem);
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
