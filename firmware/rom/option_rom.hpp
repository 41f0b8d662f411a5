// SPDX-License-Identifier: Apache-2.0
// OptionRom: the chain of images in a PCI expansion ROM (PCI Firmware Specification 3.3, 5.1; EFI
// images: UEFI 2.10, 14.4.2). Contents come from devices and files and are hostile: each step of
// the chain goes at least 512 bytes forward, so that it ends, and nothing is read past the bytes.
// Besides 0x55 0xaa and "PCIR", NVIDIA's signatures for images of its own are known (NVIDIA's open
// kernel modules, kernel_gsp_vbios_tu102.c). Missing: what NVIDIA's "NPDE" says of images behind
// the last one; they count as trailing bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

/// Where vendor and device id are in the PCI data structure (5.1.2), two bytes each.
inline constexpr std::size_t kRomDataVendor = 4;

/// What runs the image (5.1.2, Code Type). Other values are a vendor's own.
enum class RomCodeType : std::uint8_t { kLegacy = 0, kOpenFirmware = 1, kPaRisc = 2, kEfi = 3 };

/// The header of an EFI image (UEFI 2.10, 14.4.2, table "EFI PCI Expansion ROM Header").
struct RomEfiHeader {
  std::uint16_t subsystem = 0;
  std::uint16_t machine = 0;      ///< PE: 0x8664 x64, 0x14c IA32, 0xaa64 AArch64
  std::uint16_t compression = 0;  ///< 0: none, 1: UEFI's
  std::uint16_t image = 0;        ///< offset of the PE image
};

struct RomImage {
  std::size_t offset = 0;  ///< in the bytes that were parsed
  std::size_t length = 0;  ///< bytes, a multiple of 512
  std::size_t data = 0;    ///< offset in the image of its PCI data structure
  RomCodeType code_type = RomCodeType::kLegacy;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::vector<std::uint16_t> more_devices;  ///< the device list of revision 3
  std::uint32_t class_code = 0;
  bool last = false;
  /// The sum of the bytes that a PC's BIOS adds up, 0 when right; only of legacy images.
  std::optional<std::uint8_t> checksum;
  std::optional<RomEfiHeader> efi;

  bool is_for(std::uint16_t wanted_vendor, std::uint16_t wanted_device) const;
};

struct OptionRom {
  std::vector<RomImage> images;  ///< at least one
  std::string flaw;              ///< why the chain ends without a last image; empty: it does not
  bool incomplete = false;       ///< and there is more of it: bytes are missing, or it loops

  /// Where the first image begins: what a vendor's tools put before it ends there.
  std::size_t begin() const { return images.front().offset; }
  std::size_t end() const { return images.back().offset + images.back().length; }

  /// The largest that an expansion ROM BAR can show (PCI Local Bus 3.0, 6.2.5.2).
  static constexpr std::size_t kMaximumSize = std::size_t{16} << 20;

  /// Errors: kConfig: empty, over 16 MiB, or no image in it; the message has no name in front.
  static Result<OptionRom> parse(std::span<const std::byte> bytes);
};

/// "legacy", "EFI", "vendor 0xe0".
std::string to_string(RomCodeType type);
/// "x64", "0x1c0".
std::string rom_machine_name(std::uint16_t machine);

/// The bytes of a legacy image that its checksum covers: the header's initialization size.
std::size_t checksummed_length(std::span<const std::byte> image);

}  // namespace gpuvm
