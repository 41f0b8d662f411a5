// SPDX-License-Identifier: Apache-2.0
// Makes small Linux kernel files for tests and for the seeds of the fuzz target: ELF64 vmlinux and
// bzImage with any payload. Everything can be made wrong.
#pragma once

#include <asm/bootparam.h>
#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpuvm::test {

using Bytes = std::vector<std::byte>;

Bytes to_bytes(std::string_view text);

struct ElfSegment {
  std::uint64_t address = 0x1000000;
  Bytes content;
  std::uint64_t memory_size = 0;  ///< 0: as much as content
};

/// A vmlinux of these segments; entry is the address of the first instruction.
Bytes make_elf(const std::vector<ElfSegment>& segments, std::uint64_t entry);
/// One segment of 4 KiB at 16 MiB with 4 KiB of zeroes after it, entry at + 0x10.
Bytes make_small_elf();
/// Replaces a field of the ELF header or of a program header.
Elf64_Ehdr elf_header(const Bytes& file);
void set_elf_header(Bytes& file, const Elf64_Ehdr& header);
Elf64_Phdr program_header(const Bytes& file, unsigned index);
void set_program_header(Bytes& file, unsigned index, const Elf64_Phdr& header);

/// What stands for a compressed kernel: nothing here unpacks it.
Bytes make_payload();

/// A bzImage with sensible header fields: one setup sector, 0x400 bytes of code, then the payload.
Bytes make_bzimage(std::span<const std::byte> payload);
inline constexpr std::size_t kSetupBytes = 1024;  ///< boot sector and one setup sector
inline constexpr std::size_t kPayloadOffset = 0x400;

::setup_header header_of(const Bytes& file);
void set_header(Bytes& file, const ::setup_header& header);

}  // namespace gpuvm::test
