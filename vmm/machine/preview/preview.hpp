// SPDX-License-Identifier: Apache-2.0
// Preview: the machine that would run, what devices it would take, how each would be reset and
// when; without touching a device. For `gpuvm inspect` and `gpuvm run --dry-run`. Missing: BAR
// placement, which needs the sizes that VFIO tells.
#pragma once

#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Returns what a start would find, good and bad, in its order; devices with which something is
/// wrong are among the bad (found_functions.hpp). Errors: kUnsafeDevice for one that does not
/// answer.
Result<std::vector<Finding>> preview_machine(const HostSystem& host, const Config& config,
                                             InspectNode& node);

}  // namespace gpuvm
