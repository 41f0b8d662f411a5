// SPDX-License-Identifier: Apache-2.0
// NameServers: which ones passt(1) can hand to a guest that does not reach the host's loopback.
// Many hosts name only a resolver of their own there (systemd-resolved's 127.0.0.53), which keeps
// those that it asks itself in a file of the same form (resolv.conf(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/host/host_system.hpp"

namespace gpuvm {

struct NameServers {
  /// In place of those in /etc/resolv.conf; empty: these will do.
  std::vector<std::string> instead = {};
  bool none_reachable = false;  ///< all that are known are on the host's loopback
};

/// Of the texts of /etc/resolv.conf and of the local resolver's file; each may be empty.
NameServers choose_name_servers(std::string_view of_host, std::string_view of_resolver);
/// Reads both.
NameServers name_servers_for_guest(const HostSystem& host);

}  // namespace gpuvm
