// SPDX-License-Identifier: Apache-2.0
// The command line of ssh(1) that leads into a guest. ssh reads no configuration files with it, so
// that it does the same for everybody; and it notes the guest's host key for this run of the guest
// alone: the way is inside this host, the first key is the guest's, and another one later in the
// same run is refused.
#pragma once

#include <string>
#include <vector>

#include "vmm/login/running_guest.hpp"

namespace gpuvm {

struct SshRequest {
  std::string user;                       ///< in the guest
  std::vector<std::string> command = {};  ///< empty: a shell
  bool by_vsock = false;                  ///< else by the record's port
  std::string program = {};               ///< gpuvm itself, for by_vsock
};

/// argv for execvp(3): options, "--", the guest's name in place of its host, the command. Programs
/// which put a host there themselves (rsync -e) can have what is before "--". The record has the
/// way that is asked for.
std::vector<std::string> ssh_command(const GuestRecord& guest, const SshRequest& request);

/// A word as a shell reads it.
std::string shell_quoted(const std::string& word);

}  // namespace gpuvm
