// SPDX-License-Identifier: Apache-2.0
// NVIDIA's capability by which a monitor tells the guest's driver which GPUs may reach each other's
// memory (GPUDirect P2P): a vendor-specific capability with the number of the GPU's clique. Drivers
// believe it only where they see a hypervisor. Layout: QEMU, hw/vfio/pci-quirks.c,
// vfio_add_nv_gpudirect_cap(); NVIDIA's open kernel modules, nvpcie.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/passthrough/config_patch.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// `config`: the hardware's configuration space. `clique`: 0 to 15. Errors: kConfig: not an NVIDIA
/// GPU, a clique out of range, or both places that drivers look at (0xc8 and 0xd4) are taken.
Result<ExtraCapability> gpudirect_capability(std::span<const std::byte> config,
                                             std::uint8_t clique);

}  // namespace gpuvm
