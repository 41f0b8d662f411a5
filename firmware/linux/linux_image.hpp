// SPDX-License-Identifier: Apache-2.0
// LinuxImage: a kernel file, either a bzImage (setup header, protocol 2.12 or later, 64-bit) or an
// ELF vmlinux, examined and made ready to be copied into guest memory.
// Specification: Documentation/arch/x86/boot.rst of Linux ("The Real-Mode Kernel Header", "64-bit
// Boot Protocol").
// A bzImage's payload is decompressed here, so that the guest need not: on a slow or emulated CPU
// that saves seconds of its boot. The price: no KASLR, because the kernel's own decompressor is
// what moves the kernel; ask for KernelPayload::kGuest to have it.
// Missing: relocation (a kernel goes where it was linked to go), 32-bit kernels, EFI handover (its
// offset is in header()).
#pragma once

#include <asm/bootparam.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firmware/linux/decompress.hpp"
#include "firmware/linux/kernel_elf.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Who decompresses a bzImage's payload.
enum class KernelPayload {
  kAuto,   ///< the monitor where it knows the format, else the guest
  kGuest,  ///< the kernel's own decompressor, which can also choose a random address (KASLR)
};

class LinuxImage final : public Inspectable {
 public:
  /// Reads and examines a kernel file. Errors: kConfig naming the file, what is wrong and the cure;
  /// kHost without memory. No file can make it abort or read out of bounds.
  static Result<LinuxImage> load(const std::string& path, KernelPayload payload);
  /// The same for bytes already read; `path` is only for messages.
  static Result<LinuxImage> parse(std::vector<std::byte> bytes, std::string path,
                                  KernelPayload payload);

  LinuxImage(LinuxImage&&) = default;
  LinuxImage& operator=(LinuxImage&&) = default;
  LinuxImage(const LinuxImage&) = delete;
  LinuxImage& operator=(const LinuxImage&) = delete;
  ~LinuxImage() override = default;

  const std::string& path() const { return path_; }
  /// "6.12.57+deb13-amd64 (…) …" of a bzImage; "" when it has none.
  const std::string& release() const { return release_; }
  /// The setup header of the file; made up with what boot.rst gives as defaults for a vmlinux.
  const ::setup_header& header() const { return header_; }

  /// Where the first instruction is, for the 64-bit boot protocol.
  GuestAddress entry() const { return entry_; }
  /// What to copy where. Valid as long as this image lives (moving it is fine).
  std::span<const KernelSegment> segments() const { return segments_; }
  /// Memory that belongs to the kernel from its start until it reads the e820 map: its segments and
  /// [pref_address, pref_address + init_size).
  GuestRange range() const { return range_; }

  bool is_bzimage() const { return bzimage_; }
  /// Of a bzImage's payload; kUnknown for a vmlinux.
  Compression compression() const { return compression_; }
  /// True when segments() holds the kernel itself; false when the guest will decompress it.
  bool decompressed() const { return decompressed_; }
  /// The longest command line in bytes, without its NUL.
  std::uint64_t command_line_max() const { return header_.cmdline_size; }

  void inspect(InspectNode& node) const override;

 private:
  LinuxImage(std::vector<std::byte> file, std::string path)
      : path_(std::move(path)), file_(std::move(file)) {}

  Status take_vmlinux();
  Status take_bzimage(KernelPayload payload);
  Status take_protected_mode_code(std::span<const std::byte> code);
  Status take_payload(std::span<const std::byte> payload);
  void take_elf(KernelElf elf);
  void read_release();

  std::string path_;
  std::string release_;
  std::vector<std::byte> file_;  ///< empty once only the decompressed kernel is needed
  DecompressedPayload kernel_;
  ::setup_header header_{};
  GuestAddress entry_;
  std::vector<KernelSegment> segments_;  ///< into file_ or kernel_
  GuestRange range_ = *GuestRange::create(GuestAddress(0), 1);
  Compression compression_ = Compression::kUnknown;
  bool bzimage_ = false;
  bool decompressed_ = false;
};

}  // namespace gpuvm
