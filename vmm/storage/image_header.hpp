// SPDX-License-Identifier: Apache-2.0
// The beginnings of disk images as bytes: what must be known of an image before another program
// opens it: its size, and which other files it names. An image is hostile: it may come from
// anywhere, and names of other files in it decide what of the host a guest gets to see.
// Sources: QEMU, docs/interop/qcow2.txt; VMware, Virtual Disk Format 5.0; Microsoft, MS-VHDX 2.2.1;
// VirtualBox' VDI header (its magic only).
// Missing: VMDK of several files, snapshots of VMDK, VDI and VHDX, encrypted images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

enum class ImageFormat { kRaw, kQcow2, kVmdk, kVdi, kVhdx };

/// As qemu-storage-daemon calls it.
std::string_view driver_of(ImageFormat format);

struct ImageHeader {
  std::uint64_t size = 0;  ///< of the disk, bytes; 0: not looked for (VDI, VHDX)
  /// As the image names the one below it, printable; empty: none.
  std::string backing = {};
  ImageFormat backing_format = ImageFormat::kRaw;
};

/// Bytes from the start of an image that parse_image_header() wants, if there are as many.
inline constexpr std::size_t kImageStart = 64 * 1024;

/// Errors: kConfig: the bytes are the beginning of another format's image, which a guest would get
/// as its disk. Not for what an image names as the raw one below it: that is read as it is said.
Status check_is_raw(std::span<const std::byte> start, const std::string& path);

/// Errors: kConfig saying what is wrong with the image at `path` and the cure: it is of another
/// format, encrypted, broken, or made of several files. A raw image has no header.
Result<ImageHeader> parse_image_header(ImageFormat format, std::span<const std::byte> start,
                                       const std::string& path);

}  // namespace gpuvm
