// SPDX-License-Identifier: Apache-2.0
// Why the kernel refused an IOMMU or an interrupt: its errno has several causes, and sysfs and
// procfs tell some of them apart.
#pragma once

#include <cstdint>
#include <span>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm::vfio {

/// What to say of VFIO_SET_IOMMU that failed with `error` (an errno) for these IOMMU groups: memory
/// that the firmware reserves for a device (RMRR), else interrupt remapping for EPERM. Any thread.
Error set_iommu_error(const HostSystem& host, std::span<const std::uint32_t> groups, int error);

/// What to say of VFIO_DEVICE_SET_IRQS that failed with `error` (an errno) as it connected the INTx
/// of a function: EBUSY is a line that it would have to share and cannot, and others' names are in
/// the text. Any thread.
Error connect_intx_error(const HostSystem& host, const Bdf& bdf, int error);

}  // namespace gpuvm::vfio
