// SPDX-License-Identifier: Apache-2.0
// LinuxImage: a kernel file, either a bzImage (setup header, protocol 2.12 or later, 64-bit) or an
// ELF vmlinux, examined and made ready to be copied into guest memory.
// Specification: Documentation/arch/x86/boot.rst of Linux ("The Real-Mode Kernel Header", "64-bit
// Boot Protocol").
// A bzImage decompresses itself in the guest, where its decompressor also moves the kernel to a
// random address (KASLR), or is unpacked and moved by its loader: kernel_unpacking.hpp.
// Missing: relocation of a vmlinux (it goes where it was linked to go), 32-bit kernels; the EFI
// stub is firmware/efi/efi_kernel.hpp's.
#pragma once

#include <asm/bootparam.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firmware/linux/kernel_elf.hpp"
#include "firmware/linux/kernel_payload.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

class LinuxImage final : public Inspectable {
 public:
  /// Reads and examines a kernel file. Errors: kConfig naming the file, what is wrong and the cure;
  /// kHost without memory. No file can make it abort or read out of bounds.
  static Result<LinuxImage> load(const std::string& path, const FileOpener& open = {});
  /// The same for bytes already read; `path` is only for messages.
  static Result<LinuxImage> parse(std::vector<std::byte> bytes, std::string path);

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
  /// What a loader can unpack; null for a vmlinux, and where only the kernel itself can.
  const KernelPayload* payload() const { return payload_ ? &*payload_ : nullptr; }
  /// Unpacks the payload into this object, so that a loader has no more to do than copy it: while
  /// devices are reset, say. Does nothing without a payload, and for one that is larger than what
  /// is worth so much memory of this process (256 MiB), or than the kernel's own init_size, which
  /// the loader refuses. Errors: as KernelPayload::unpack().
  Status unpack_ahead();
  /// The unpacked payload; empty: unpack_ahead() was not called, or did nothing.
  std::span<const std::byte> unpacked() const {
    return {unpacked_.get(), unpacked_ ? unpacked_size_ : 0};
  }
  /// The longest command line in bytes, without its NUL.
  std::uint64_t command_line_max() const { return header_.cmdline_size; }

  void inspect(InspectNode& node) const override;

 private:
  LinuxImage(std::vector<std::byte> file, std::string path)
      : path_(std::move(path)), file_(std::move(file)) {}

  Status take_vmlinux();
  Status take_bzimage();
  void read_release();

  std::string path_;
  std::string release_;
  std::vector<std::byte> file_;
  ::setup_header header_{};
  GuestAddress entry_;
  std::vector<KernelSegment> segments_;  ///< into file_
  GuestRange range_ = *GuestRange::create(GuestAddress(0), 1);
  bool bzimage_ = false;
  std::optional<KernelPayload> payload_;  ///< into file_
  std::unique_ptr<std::byte[]> unpacked_;
  std::size_t unpacked_size_ = 0;
};

}  // namespace gpuvm
