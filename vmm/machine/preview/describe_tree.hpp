// SPDX-License-Identifier: Apache-2.0
// What `gpuvm dump fdt` prints: the device tree of a guest that does not run. Nothing is touched:
// no device, no KVM VM, not the variable file; passed-through functions are described from sysfs.
// Missing: their option ROMs, which only a run reads, and the variables; both are small, and what a
// run places behind them lies lower by as much.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// The tree as source (dtc -I dts). Errors: kConfig (another boot mode, a file, an absent device),
/// kHost (sysfs).
Result<std::string> describe_tree(const Config& config, const HostSystem& host);

}  // namespace gpuvm
