// SPDX-License-Identifier: Apache-2.0
// The link of a virtual function: its own registers read zero (Single Root I/O Virtualization 1.1,
// 3.5.6 to 3.5.8), so the physical function's is asked, which sysfs shows.
#pragma once

#include <optional>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm::vfio {

/// As it is now; nothing for other functions, and where sysfs does not say. Any thread.
std::optional<CardLink> card_link_of(const HostSystem& host, const Bdf& function);

}  // namespace gpuvm::vfio
