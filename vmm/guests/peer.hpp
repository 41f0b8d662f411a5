// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a Unix socket (SO_PEERCRED, SO_PEERGROUPS; unix(7)), and whether he
// may steer the guest. The socket's mode says the same; but a descriptor can be passed on, and a
// folder may have other rights than it should.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct Peer {
  uid_t user = static_cast<uid_t>(-1);
  std::vector<gid_t> groups = {};  ///< its own first
};

/// Nothing where the kernel does not say: not a Unix socket.
std::optional<Peer> peer_of(int socket);

/// root, this process's own user, members of the group.
bool may_steer(const Peer& peer, uid_t own, std::optional<gid_t> group);

/// Errors: kConfig where the host has no such group.
Result<gid_t> group_id(const std::string& name);

/// The group's id, where this process can give a socket to it: as root, or as a member. Errors:
/// kConfig.
Result<gid_t> group_of_socket(const std::string& name);

}  // namespace gpuvm
