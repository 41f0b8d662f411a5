// SPDX-License-Identifier: Apache-2.0
// Which files a run still reaches when its guest runs: rules of Landlock for the threads that open
// some (docs/security.md). `has_owner`: another process is the owner, and this is its monitor.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/config/config.hpp"
#include "vmm/sandbox/landlock.hpp"

namespace gpuvm {

/// Of the worker: resets look into sysfs and write to what belongs to PCI functions, marks are in
/// /run/gpuvm, and a reboot reads the kernel's file again. With an owner nothing.
std::vector<sandbox::PathRule> worker_paths(const BootConfig& boot, bool has_owner);

/// Of who keeps the EFI variables: the folder in which a new file takes the old one's place; with
/// an owner nothing.
std::vector<sandbox::PathRule> variable_paths(const std::optional<std::string>& variables,
                                              bool has_owner);

}  // namespace gpuvm
