// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/guest_entrance.hpp"

#include "vmm/base/log.hpp"
#include "vmm/base/run_process.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kSshPort = 22;

/// From this host; "all addresses" is none to connect to.
std::string address_to_connect(const std::string& listens_at) {
  if (listens_at.empty() || listens_at == "0.0.0.0") {
    return "127.0.0.1";
  }
  return listens_at == "::" ? "::1" : listens_at;
}

}  // namespace

GuestRecord entrance_of(const Config& config, const std::string& key,
                        std::optional<std::uint32_t> cid) {
  GuestRecord record{.name = config.name, .pid = run_process(), .cid = cid, .key = key};
  for (const auto& net : config.nets) {
    for (const auto& forward : net.forward) {
      if (record.port == 0 && !forward.udp && forward.guest == kSshPort) {
        record.address = address_to_connect(forward.address);
        record.port = forward.host;
      }
    }
  }
  return record;
}

std::unique_ptr<RunningGuest> announce_guest(const Config& config, const std::string& key,
                                             std::optional<std::uint32_t> cid) {
  const auto folder = guest_folder(HostSystem());
  if (!folder) {
    log::debug("gpuvm ssh will not find this guest: there is no XDG_RUNTIME_DIR to note it in");
    return nullptr;
  }
  auto announced = RunningGuest::announce(*folder, entrance_of(config, key, cid));
  if (!announced) {
    log::info("gpuvm ssh will not find this guest: {}", announced.error().to_string());
    return nullptr;
  }
  return std::make_unique<RunningGuest>(std::move(announced).value());
}

}  // namespace gpuvm
