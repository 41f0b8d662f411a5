// SPDX-License-Identifier: Apache-2.0
// Cards that may come while the guest runs (machine.attachable), as they are now: a start needs
// each to be there, and an attach that nothing of the host is against it. Changes nothing. Missing:
// whether a card's BARs fit into machine.reserve, which its attach tells.
#pragma once

#include <string_view>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Finding::check of such a card.
constexpr std::string_view kAttachableCheck = "attachable";

/// One for each, in the order of the list. Bad where a start would be refused; good, with a note,
/// where an attach would be now.
std::vector<Finding> check_attachable(const HostSystem& host, const MachineConfig& machine);

/// A field for each card: the functions that come with it, or why there are none.
void describe_attachable(const HostSystem& host, const MachineConfig& machine, InspectNode& node);

}  // namespace gpuvm
