// SPDX-License-Identifier: Apache-2.0
// Making an option ROM fit the function that it is shown for: a file from another board of the same
// kind, or one that a vendor's tool wrote, has other ids or bytes before the first image. Firmware
// and drivers ignore an image whose ids are not the function's (PCI Firmware Specification 3.3,
// 5.1.2). As QEMU does (hw/pci/pci.c), ids are written over and a legacy image's byte 6, reserved
// there, is changed so that the sum of the bytes stays what it was. EFI images have no checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct RomIds {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  bool operator==(const RomIds&) const = default;
};

enum class RomCheck {
  kCorrect,  ///< what is wrong is corrected where that is safe
  kStrict,   ///< anything wrong is refused
};

struct RomChange {
  std::string text;     ///< a line
  bool is_odd = false;  ///< the user should know
};

/// `shown`: the ids that the guest sees; `real`: those of the hardware: images for neither vendor
/// are another's and are refused, but for ids that tools are known to put wrong, which are odd.
/// Cuts what lies before the first image. Returns what was changed. Errors: kConfig: no ROM,
/// another vendor's; with kStrict any difference from what the function's ROM must be, a broken
/// chain or a wrong checksum too. `rom` is then unchanged.
Result<std::vector<RomChange>> fit_rom(std::vector<std::byte>& rom, RomIds shown, RomIds real,
                                       RomCheck check);

/// What lies before the first image, cut off. Errors: as OptionRom::parse().
Result<std::vector<std::byte>> trim_rom(std::span<const std::byte> rom);

}  // namespace gpuvm
