// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_elf.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "firmware/linux/linux_layout.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kProgramHeadersMax = 64;  // Linux has five or six

Status check_header(const Elf64_Ehdr& header, const std::string& what) {
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return fail(
        ErrorKind::kConfig,
        "{} is an ELF file, but not for x86-64 (class {}, machine {}); give an x86-64 kernel", what,
        header.e_ident[EI_CLASS], header.e_machine);
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return fail(ErrorKind::kConfig, "{} is an ELF file of type {}; give a linked kernel (vmlinux)",
                what, header.e_type);
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > kProgramHeadersMax) {
    return fail(ErrorKind::kConfig,
                "{} has {} program headers of {} bytes; a kernel has 1 to {} of {} bytes", what,
                header.e_phnum, header.e_phentsize, kProgramHeadersMax, sizeof(Elf64_Phdr));
  }
  return {};
}

Result<KernelSegment> make_segment(std::span<const std::byte> bytes, const Elf64_Phdr& header,
                                   const std::string& what) {
  if (header.p_offset > bytes.size() || header.p_filesz > bytes.size() - header.p_offset) {
    return fail(ErrorKind::kConfig,
                "{} is cut off: a segment of {} bytes at offset {:#x} ends past its {} bytes", what,
                header.p_filesz, header.p_offset, bytes.size());
  }
  if (header.p_filesz > header.p_memsz) {
    return fail(ErrorKind::kConfig, "{} has a segment of {} bytes with {} bytes of content", what,
                header.p_memsz, header.p_filesz);
  }
  const auto range = GuestRange::create(GuestAddress(header.p_paddr), header.p_memsz);
  if (!range || range->base() < linux_layout::kHighMemory || range->last().value() >= 4_GiB) {
    return fail(
        ErrorKind::kConfig,
        "{} has a segment of {} bytes for physical address {:#x}; it must lie between 1 MiB "
        "and 4 GiB",
        what, header.p_memsz, header.p_paddr);
  }
  return KernelSegment{*range, bytes.subspan(header.p_offset, header.p_filesz)};
}

Status check_segments(const KernelElf& kernel, const std::string& what) {
  if (kernel.segments.empty()) {
    return fail(ErrorKind::kConfig, "{} has nothing to load: no PT_LOAD segment with a size", what);
  }
  for (std::size_t i = 1; i < kernel.segments.size(); ++i) {
    if (kernel.segments[i - 1].range.overlaps(kernel.segments[i].range)) {
      return fail(ErrorKind::kConfig, "{} has segments that overlap at physical address {:#x}",
                  what, kernel.segments[i].range.base().value());
    }
  }
  for (const auto& segment : kernel.segments) {
    const auto content = GuestRange::create(segment.range.base(), segment.content.size());
    if (content && content->contains(kernel.entry)) {
      return {};
    }
  }
  return fail(ErrorKind::kConfig,
              "{} starts at {:#x}, which is not in a segment; Linux has a physical address there",
              what, kernel.entry.value());
}

}  // namespace

bool is_elf(std::span<const std::byte> bytes) {
  return bytes.size() >= SELFMAG && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0;
}

Result<KernelElf> parse_kernel_elf(std::span<const std::byte> bytes, const std::string& what) {
  const auto header = load_at<Elf64_Ehdr>(bytes, 0);
  if (!header || !is_elf(bytes)) {
    return fail(ErrorKind::kConfig, "{} is not an ELF file of at least {} bytes", what,
                sizeof(Elf64_Ehdr));
  }
  TRY(check_header(*header, what));
  KernelElf kernel{GuestAddress(header->e_entry), {}};
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    const std::uint64_t table = header->e_phoff;
    const auto program = table > bytes.size()
                             ? std::nullopt
                             : load_at<Elf64_Phdr>(bytes, table + i * sizeof(Elf64_Phdr));
    if (!program) {
      return fail(ErrorKind::kConfig, "{} is cut off: program header {} ends past its {} bytes",
                  what, i, bytes.size());
    }
    if (program->p_type == PT_LOAD && program->p_memsz != 0) {
      kernel.segments.push_back(TRY(make_segment(bytes, *program, what)));
    }
  }
  std::sort(kernel.segments.begin(), kernel.segments.end(),
            [](const auto& a, const auto& b) { return a.range.base() < b.range.base(); });
  TRY(check_segments(kernel, what));
  return kernel;
}

}  // namespace gpuvm
