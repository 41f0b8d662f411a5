// SPDX-License-Identifier: Apache-2.0
// Reading and checking the setup header of a bzImage, and the constants of the boot protocol that
// <asm/bootparam.h> lacks. Specification: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel
// Header" and "Details of Header Fields".
#pragma once

#include <asm/bootparam.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::boot_protocol {

inline constexpr std::size_t kHeaderOffset = 0x1f1;
inline constexpr std::size_t kHeaderEndBase = 0x202;   ///< + the byte at 0x201 = end of the header
inline constexpr std::uint16_t kBootFlag = 0xaa55;     ///< boot_flag, at 0x1fe
inline constexpr std::uint32_t kHdrS = 0x53726448;     ///< header, at 0x202
inline constexpr std::uint16_t kVersionMin = 0x020c;   ///< 2.12 brought xloadflags (Linux 3.8)
inline constexpr std::uint16_t kVersionOurs = 0x020f;  ///< what a made-up header claims
inline constexpr std::uint64_t kSectorSize = 512;
inline constexpr std::uint64_t kDefaultSetupSectors = 4;  ///< what setup_sects = 0 means
inline constexpr std::uint64_t kSyssizeUnit = 16;
inline constexpr std::uint64_t kEntry64Offset = 0x200;  ///< startup_64 in the protected-mode code
inline constexpr std::uint8_t kLoaderUndefined = 0xff;  ///< type_of_loader without an assigned id
inline constexpr std::uint16_t kVideoModeNormal = 0xffff;
/// Linux maps itself into at most this much (KERNEL_IMAGE_SIZE with KASLR); a larger init_size is
/// not one.
inline constexpr std::uint64_t kInitSizeMax = 1_GiB;

/// The header of a bzImage, as far as it says it goes; the rest is zero. Errors: kConfig naming
/// `path`: no kernel, too old, 32-bit, or values that cannot be.
Result<::setup_header> read_setup_header(std::span<const std::byte> file, const std::string& path);

/// The protected-mode code of the file (after boot sector and setup sectors). Errors: kConfig when
/// the file ends before it does.
Result<std::span<const std::byte>> protected_mode_code(std::span<const std::byte> file,
                                                       const ::setup_header& header,
                                                       const std::string& path);

/// The compressed payload inside the protected-mode code. Errors: kConfig when it is not inside.
Result<std::span<const std::byte>> payload_of(std::span<const std::byte> code,
                                              const ::setup_header& header,
                                              const std::string& path);

/// What a vmlinux would have: it has no setup header of its own.
::setup_header made_up_header();

/// "2.15" of 0x020f.
std::string version_text(std::uint16_t version);

}  // namespace gpuvm::boot_protocol
