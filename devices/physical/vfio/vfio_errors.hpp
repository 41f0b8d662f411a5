// SPDX-License-Identifier: Apache-2.0
// Why the kernel refused an IOMMU, a function or an interrupt: its errno has several causes, and
// sysfs and procfs tell some of them apart.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "devices/physical/vfio/vfio_host.hpp"
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
/// What VFIO_GROUP_GET_DEVICE_FD is asked for: "0000:01:10.0", with a token followed by
/// " vf_token=" and it (Linux, drivers/vfio/pci/vfio_pci_core.c, vfio_pci_core_match()).
std::string device_name(const VfioFunction& function);

/// What to say where that failed with `error` (an errno): among others EACCES for a token that is
/// absent or wrong, EINVAL for one that is not wanted.
Error open_device_error(const VfioFunction& function, std::uint32_t group, int error);

}  // namespace gpuvm::vfio
