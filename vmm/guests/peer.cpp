// SPDX-License-Identifier: Apache-2.0
#include "vmm/guests/peer.hpp"

#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace gpuvm {
namespace {

constexpr std::size_t kMostGroups = 65536;       // NGROUPS_MAX of Linux
constexpr std::size_t kMostGroupText = 1 << 20;  // a group may have many members

}  // namespace

std::optional<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
      size != sizeof credentials || credentials.uid == static_cast<uid_t>(-1)) {
    return std::nullopt;
  }
  Peer peer;
  peer.user = credentials.uid;
  peer.groups.push_back(credentials.gid);
  std::vector<gid_t> others(64);
  size = static_cast<socklen_t>(others.size() * sizeof(gid_t));
  int outcome = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, others.data(), &size);
  if (outcome != 0 && errno == ERANGE && size / sizeof(gid_t) <= kMostGroups) {
    others.resize(size / sizeof(gid_t));
    outcome = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, others.data(), &size);
  }
  if (outcome == 0) {  // else its own group alone counts
    others.resize(std::min<std::size_t>(others.size(), size / sizeof(gid_t)));
    peer.groups.insert(peer.groups.end(), others.begin(), others.end());
  }
  return peer;
}

bool may_steer(const Peer& peer, uid_t own, std::optional<gid_t> group) {
  return peer.user == 0 || peer.user == own ||
         (group && std::find(peer.groups.begin(), peer.groups.end(), *group) != peer.groups.end());
}

Result<gid_t> group_id(const std::string& name) {
  std::vector<char> text(4096);
  struct group entry {};
  struct group* found = nullptr;
  int error = ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  while (error == ERANGE && text.size() < kMostGroupText) {
    text.resize(text.size() * 4);
    error = ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  }
  if (found == nullptr) {
    return fail(ErrorKind::kConfig,
                "control.group names {}, and this host has no such group (getent group)", name);
  }
  return entry.gr_gid;
}

Result<gid_t> group_of_socket(const std::string& name) {
  const gid_t group = TRY(group_id(name));
  if (::geteuid() == 0 || ::getegid() == group) {
    return group;
  }
  std::vector<gid_t> own(kMostGroups);
  const int count = ::getgroups(static_cast<int>(own.size()), own.data());
  own.resize(static_cast<std::size_t>(std::max(count, 0)));
  if (std::find(own.begin(), own.end(), group) == own.end()) {
    return fail(ErrorKind::kConfig,
                "control.group names {}, of which this user is no member, so the socket cannot be "
                "given to it: join the group (usermod -aG {} USER, then log in anew), or run as "
                "root",
                name, name);
  }
  return group;
}

}  // namespace gpuvm
