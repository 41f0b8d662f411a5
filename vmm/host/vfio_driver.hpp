// SPDX-License-Identifier: Apache-2.0
// Whether a function is VFIO's to hand out. Its driver need not be vfio-pci: variant drivers
// (mlx5_vfio_pci, nvgrace_gpu_vfio_pci) and vendors' own (NVIDIA's vGPU driver, whose name is
// "nvidia" as that of the host's GPUs) register functions with VFIO, too.
#pragma once

#include <string_view>

#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// The name is that of vfio-pci, or of a variant that keeps to the kernel's way of naming them.
bool is_vfio_driver(std::string_view driver);

/// The function has a driver that registered it with VFIO: there is a folder vfio-dev (Linux 6.1,
/// Documentation/ABI/testing/sysfs-devices-vfio-dev), or, on older kernels, the driver's name says
/// so.
bool is_with_vfio(const HostSystem& host, const Bdf& bdf);

}  // namespace gpuvm
