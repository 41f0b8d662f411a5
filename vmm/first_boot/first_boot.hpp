// SPDX-License-Identifier: Apache-2.0
// FirstBoot: what a guest is told at its first boot: [credentials] and ssh_key by SMBIOS strings,
// [cloud_init] and ssh_key by a volume that exists in memory alone. All of it may be secret:
// nothing here prints contents.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/config/config.hpp"
#include "vmm/first_boot/ssh_key.hpp"

namespace gpuvm {

struct FirstBoot {
  std::vector<std::string> oem_strings;  ///< of SMBIOS type 11
  UniqueFd volume;      ///< a sealed memfd, whole sectors; none without [cloud_init]
  std::string ssh_key;  ///< the private key's path, for ssh; empty: none, or ssh knows itself
};

/// Reads and judges the files; with kMake it may make the user's key. Errors: kConfig, with the
/// key's place and, of YAML, the line; kHost.
Result<FirstBoot> open_first_boot(const Config& config, SshKeyUse use);

/// Names and paths, for people; no contents.
void describe_first_boot(const Config& config, InspectNode& node);

}  // namespace gpuvm
