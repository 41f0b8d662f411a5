// SPDX-License-Identifier: Apache-2.0
// EfiKernel: a Linux bzImage with an EFI stub, examined and ready to be copied into guest memory.
// Host code. Specification: Documentation/arch/x86/boot.rst ("EFI Handover Protocol", xloadflags);
// Microsoft PE/COFF, sections 2 to 4. Missing: relocations (Linux's image has none that matter: it
// is position independent), compressed images of other architectures (zboot).
#pragma once

#include <asm/bootparam.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/file.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// How the firmware enters the kernel.
enum class EfiEntry {
  kHandover,  ///< EFI handover protocol, 64-bit
  kPe,        ///< as a PE application
};

class EfiKernel {
 public:
  /// Reads and examines. Errors: kConfig naming the file, what is wrong and the cure. No file can
  /// make it abort or read out of bounds.
  static Result<EfiKernel> load(const std::string& path, const FileOpener& open = {});
  static Result<EfiKernel> parse(std::vector<std::byte> bytes, std::string path);

  const std::string& path() const { return path_; }
  EfiEntry entry() const { return entry_; }
  /// The setup header of the file, as boot_params has it from offset 0x1f1 on.
  const ::setup_header& header() const { return header_; }
  /// Bytes of memory that the image takes, and the alignment of their start.
  std::uint64_t memory_size() const { return memory_size_; }
  std::uint64_t alignment() const { return header_.kernel_alignment; }
  /// Of the first instruction, from the start of that memory.
  std::uint64_t entry_offset() const { return entry_offset_; }
  /// Fills `target`, of memory_size() bytes.
  void copy_to(std::span<std::byte> target) const;

 private:
  struct Part {
    std::uint64_t target = 0;
    std::size_t source = 0;
    std::size_t size = 0;
  };
  EfiKernel(std::vector<std::byte> bytes, std::string path)
      : file_(std::move(bytes)), path_(std::move(path)) {}
  Status take_handover();
  Status take_pe();
  Status add_sections(std::size_t table, unsigned count);

  std::vector<std::byte> file_;
  std::string path_;
  ::setup_header header_{};
  EfiEntry entry_ = EfiEntry::kHandover;
  std::uint64_t memory_size_ = 0;
  std::uint64_t entry_offset_ = 0;
  std::vector<Part> parts_;
};

}  // namespace gpuvm
