// SPDX-License-Identifier: Apache-2.0
// Which functions are opened at once. The kernel resets each one as it is opened, and sleeps most
// of that time (Linux, drivers/vfio/pci/vfio_pci_core.c, vfio_pci_core_enable), so slots do not
// wait for each other; functions of one slot do, by a lock of the kernel's (vfio_device_set).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "devices/physical/vfio/vfio_host.hpp"

namespace gpuvm::vfio {

/// Lists of indices into `functions`: those of a list are opened one after the other, as the user
/// named them, and lists at once. One list where a function has a token: a physical function must
/// be open before its virtual ones, which are other slots (vfio_pci_validate_vf_token). Any thread.
std::vector<std::vector<std::size_t>> opening_order(std::span<const VfioFunction> functions);

}  // namespace gpuvm::vfio
