// SPDX-License-Identifier: Apache-2.0
// Which files a run still reaches when its guest runs and one process does the owner's work, too:
// rules of Landlock for the threads that open them (docs/security.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/config/config.hpp"
#include "vmm/sandbox/landlock.hpp"

namespace gpuvm {

/// Of the worker: resets look into sysfs and write to what belongs to PCI functions, marks are in
/// /run/gpuvm, and a reboot reads the kernel's file again.
std::vector<sandbox::PathRule> worker_paths(const BootConfig& boot);

/// Of who keeps the EFI variables: the folder in which a new file takes the old one's place.
std::vector<sandbox::PathRule> variable_paths(const std::optional<std::string>& variables);

}  // namespace gpuvm
