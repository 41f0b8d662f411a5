// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/setup_header.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "firmware/linux/linux_layout.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::boot_protocol {
namespace {

constexpr std::size_t kHeaderEndMin = 0x264;  // past init_size, the last field that is needed here

Status check_signature(const ::setup_header& header, const std::string& path) {
  if (header.header != kHdrS) {
    return fail(ErrorKind::kConfig,
                "{} is not a Linux kernel: no HdrS signature at 0x202; give a bzImage or an ELF "
                "vmlinux",
                path);
  }
  if (header.boot_flag != kBootFlag) {
    return fail(ErrorKind::kConfig,
                "{} is not a bootable kernel: {:#06x} at 0x1fe instead of {:#x}", path,
                std::uint16_t{header.boot_flag}, kBootFlag);
  }
  if (header.version < kVersionMin) {
    return fail(ErrorKind::kConfig, "{} has boot protocol {}; {} (Linux 3.8) or later is needed",
                path, version_text(header.version), version_text(kVersionMin));
  }
  if ((header.xloadflags & XLF_KERNEL_64) == 0 || (header.loadflags & LOADED_HIGH) == 0) {
    return fail(ErrorKind::kConfig,
                "{} has no 64-bit entry point (xloadflags {:#x}); give a 64-bit kernel", path,
                std::uint16_t{header.xloadflags});
  }
  return {};
}

Status check_placement(const ::setup_header& header, const std::string& path) {
  const std::uint64_t size = header.init_size;
  if (size == 0 || size > kInitSizeMax) {
    return fail(ErrorKind::kConfig,
                "{} claims to need {} bytes to start (init_size); a kernel needs up to {} MiB",
                path, size, kInitSizeMax >> 20);
  }
  const std::uint64_t address = header.pref_address;
  if (address < linux_layout::kHighMemory.value() || address > 4_GiB - size) {
    return fail(
        ErrorKind::kConfig,
        "{} wants to be loaded at {:#x} (pref_address); it must lie between 1 MiB and 4 GiB", path,
        address);
  }
  const std::uint64_t alignment = header.kernel_alignment;
  if (!std::has_single_bit(alignment) || !is_aligned(address, alignment)) {
    return fail(ErrorKind::kConfig,
                "{} wants to be loaded at {:#x}, which its own alignment of {:#x} does not allow",
                path, address, alignment);
  }
  return {};
}

}  // namespace

Result<::setup_header> read_setup_header(std::span<const std::byte> file, const std::string& path) {
  if (file.size() < kHeaderOffset + sizeof(::setup_header)) {
    return fail(ErrorKind::kConfig,
                "{} is not a Linux kernel: it has only {} bytes; give a bzImage or an ELF vmlinux",
                path, file.size());
  }
  auto header = *load_at<::setup_header>(file, kHeaderOffset);
  TRY(check_signature(header, path));
  const std::size_t end = kHeaderEndBase + static_cast<std::size_t>(file[0x201]);
  if (end < kHeaderEndMin) {
    return fail(ErrorKind::kConfig, "{} has a setup header that ends at {:#x}, before init_size",
                path, end);
  }
  // What follows the header's stated end is code, not fields.
  const std::size_t known = std::min(end - kHeaderOffset, sizeof header);
  header = {};
  std::memcpy(&header, file.data() + kHeaderOffset, known);
  TRY(check_placement(header, path));
  return header;
}

Result<std::span<const std::byte>> protected_mode_code(std::span<const std::byte> file,
                                                       const ::setup_header& header,
                                                       const std::string& path) {
  const std::uint64_t sectors =
      header.setup_sects == 0 ? kDefaultSetupSectors : std::uint64_t{header.setup_sects};
  const std::uint64_t start = (sectors + 1) * kSectorSize;  // + 1: the boot sector
  const std::uint64_t size = std::uint64_t{header.syssize} * kSyssizeUnit;
  if (start > file.size() || size > file.size() - start) {
    return fail(
        ErrorKind::kConfig,
        "{} is cut off: its header states {} bytes of setup and {} bytes of kernel, but the "
        "file has {}; install it again",
        path, start, size, file.size());
  }
  if (size <= kEntry64Offset || size > header.init_size) {
    return fail(ErrorKind::kConfig,
                "{} has {} bytes of code (syssize), which does not fit between its 64-bit entry at "
                "{:#x} and its init_size of {}",
                path, size, kEntry64Offset, std::uint32_t{header.init_size});
  }
  return file.subspan(start, size);
}

Result<std::span<const std::byte>> payload_of(std::span<const std::byte> code,
                                              const ::setup_header& header,
                                              const std::string& path) {
  const std::uint64_t offset = header.payload_offset;
  const std::uint64_t length = header.payload_length;
  if (length == 0 || offset > code.size() || length > code.size() - offset) {
    return fail(ErrorKind::kConfig,
                "{} has its payload at {:#x} with {} bytes, outside its {} bytes of code", path,
                offset, length, code.size());
  }
  return code.subspan(offset, length);
}

::setup_header made_up_header() {
  ::setup_header header{};
  header.boot_flag = kBootFlag;
  header.header = kHdrS;
  header.version = kVersionOurs;
  header.loadflags = LOADED_HIGH;
  header.xloadflags = XLF_KERNEL_64;
  header.kernel_alignment = static_cast<std::uint32_t>(2_MiB);
  // arch/x86: COMMAND_LINE_SIZE is 2048 with its NUL, and bzImages state these two values.
  header.cmdline_size = 2047;
  header.initrd_addr_max = 0x7fffffff;
  return header;
}

std::string version_text(std::uint16_t version) {
  return fmt::format("{}.{}", version >> 8, version & 0xff);
}

}  // namespace gpuvm::boot_protocol
