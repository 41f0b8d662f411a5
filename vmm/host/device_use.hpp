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
/// disks below LVM or RAID, network interfaces that are up, open DRM and NVIDIA nodes, those of the
/// firmware's frame buffer among them.
std::vector<std::string> find_uses(const HostSystem& host, const Bdf& bdf);

/// What may keep `driver` from letting go of a function whose unbind does not come back: its uses,
/// and what belongs to no single function: open control nodes of NVIDIA's driver, nvidia_drm's own
/// hold on the GPU (modeset, fbdev), consoles on a frame buffer. Sentences.
std::vector<std::string> find_suspects(const HostSystem& host, const Bdf& bdf,
                                       std::string_view driver);

/// Errors: kHost naming every use found.
Status check_not_in_use(const HostSystem& host, const Bdf& bdf);

}  // namespace gpuvm
