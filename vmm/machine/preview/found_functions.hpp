// SPDX-License-Identifier: Apache-2.0
// FoundFunctions: what a preview can tell of the [[pci]] entries although something is wrong with
// some of them: all errors, and the functions without what is wrong.
#pragma once

#include <string_view>
#include <vector>

#include "vmm/host/host_check.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {

/// Finding::check of what is wrong with an entry.
constexpr std::string_view kEntriesCheck = "entries";

struct FoundFunctions {
  std::vector<HostFunction> functions;
  std::vector<Finding> findings;  ///< errors; none where a start has nothing against the entries
};

/// Changes nothing. `host` must outlive what is returned.
FoundFunctions find_functions(const HostSystem& host, const std::vector<PciConfig>& entries);

}  // namespace gpuvm
