// SPDX-License-Identifier: Apache-2.0
// The public key that may log in to a guest: the user's own, or one that gpuvm keeps for each user
// and has made by ssh-keygen(1). Only the public part ever leaves the host.
#pragma once

#include <string>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct SshKey {
  std::string line;               ///< of authorized_keys, without a line end
  std::string private_path = {};  ///< for ssh -i; empty: ssh itself knows, or an agent
};

/// A file as ssh-keygen writes it (sshd(8), "AUTHORIZED_KEYS FILE FORMAT", without options).
/// Errors: kConfig, a private key's among them.
Result<SshKey> read_public_key(const std::string& path);

enum class SshKeyUse {
  kMake,  ///< where there is none
  kLook,  ///< changes nothing; a line that is no key stands for one that would be made
};

/// The user's key in `folder`, which is made if need be, with mode 0700. Two gpuvm at a time make
/// one. Errors: kHost: no ssh-keygen, no right to write; kConfig: a file there that others may
/// read.
Result<SshKey> own_ssh_key(const std::string& folder, SshKeyUse use);

/// $XDG_STATE_HOME/gpuvm, or ~/.local/state/gpuvm. Errors: kHost: no home.
Result<std::string> ssh_key_folder();

}  // namespace gpuvm
