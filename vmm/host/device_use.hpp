// SPDX-License-Identifier: Apache-2.0
// Who uses a device of the host right now: taking a driver away from under a mounted disk or a
// running X server hangs or breaks the host, so it is refused.
// Missing: sound cards (ALSA frees a card whose owner holds it) and USB disks behind a controller
// whose names the kernel does not put below /sys/class/block.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Processes that hold a file open, as "name (pid 42)", from /proc/*/fd. Without root only our own
/// user's processes are seen.
std::vector<std::string> find_holders(const HostSystem& host, std::string_view file);

/// Uses of the function by the host as sentences, empty if none was found: mounted disks, swap,
/// disks below LVM or RAID, network interfaces that are up, open DRM and NVIDIA nodes.
std::vector<std::string> find_uses(const HostSystem& host, const Bdf& bdf);

/// Errors: kHost naming every use found.
Status check_not_in_use(const HostSystem& host, const Bdf& bdf);

}  // namespace gpuvm
