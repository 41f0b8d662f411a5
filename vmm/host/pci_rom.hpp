// SPDX-License-Identifier: Apache-2.0
// A function's option ROM as the host has it without VFIO: the rom attribute of sysfs (Linux,
// Documentation/PCI/sysfs-pci.rst), or, for GPUs whose ROM only the firmware had, the ACPI table
// VFCT. Missing: ACPI's _ROM method, which user space cannot call.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

struct HostRom {
  std::vector<std::byte> bytes;  ///< not empty
  std::string origin;            ///< a path, for messages
};

/// Switches the ROM on for the time of reading, and the function's decoding where nothing has it
/// enabled; may be called while vfio-pci has the function. Errors: kHost, with what was tried.
Result<HostRom> read_host_rom(const HostSystem& host, const Bdf& bdf);

/// The image for this function in a VFCT table (AMD; struct VFCT_IMAGE_HEADER of Linux's
/// drivers/gpu/drm/amd/include/atombios.h); empty without one. The table is hostile.
std::vector<std::byte> find_vfct_image(std::span<const std::byte> table, const Bdf& bdf);

}  // namespace gpuvm
