// SPDX-License-Identifier: Apache-2.0
// Option ROMs as a laptop's firmware hands them to GPU drivers, for GPUs that have no readable ROM
// BAR:
//   - the method _ROM of the function's device (ACPI 6.5, B.3.3): (offset, length) gives bytes of
//     the image. NVIDIA's drivers ask for at most 4 KiB at a time and nouveau for exactly 4 KiB,
//     and both want as much as they asked for, past the end as well: hence zeroes behind the image;
//   - the table VFCT, which AMD's drivers read (Linux, drivers/gpu/drm/amd/amdgpu/amdgpu_bios.c).
//     They take the first image there for their vendor, device, slot and function; kernels from
//     2026 on do not look at the bus.
// The bytes lie in AcpiBlobs::data.
// Missing: _DSM, _PR3 and the power methods of laptops, by which drivers would take the GPU for one
// that they may switch off; ATRM, which AMD's drivers prefer to a VFCT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gpuvm {

/// A function and its ROM. The image must outlive the input of build_acpi_blobs().
struct AcpiRom {
  std::string port_path;     ///< of the bridge's device: "\\_SB.PCI0.S08"
  std::uint8_t bus = 0;      ///< behind the bridge
  std::uint8_t devfn = 0;    ///< there
  std::uint16_t vendor = 0;  ///< as the guest sees it, like the other ids
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem_device = 0;
  std::uint8_t revision = 0;
  bool in_vfct = true;               ///< of AMD's; others never are
  std::span<const std::byte> image;  ///< not empty
};

}  // namespace gpuvm
