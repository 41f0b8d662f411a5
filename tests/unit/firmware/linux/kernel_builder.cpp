// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/linux/kernel_builder.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test {
namespace {

constexpr std::size_t kElfContentOffset = 0x1000;

template <class T>
T get(const Bytes& file, std::size_t offset) {
  return load_at<T>(file, offset).value();
}

template <class T>
void put(Bytes& file, std::size_t offset, const T& value) {
  if (file.size() < offset + sizeof value) {
    file.resize(offset + sizeof value);
  }
  std::memcpy(file.data() + offset, &value, sizeof value);
}

}  // namespace

Bytes to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes make_elf(const std::vector<ElfSegment>& segments, std::uint64_t entry) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_entry = entry;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(segments.size());
  Bytes file(kElfContentOffset);
  set_elf_header(file, header);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    Elf64_Phdr program{};
    program.p_type = PT_LOAD;
    program.p_offset = file.size();
    program.p_vaddr = segments[i].address + 0xffffffff80000000;
    program.p_paddr = segments[i].address;
    program.p_filesz = segments[i].content.size();
    program.p_memsz =
        segments[i].memory_size != 0 ? segments[i].memory_size : segments[i].content.size();
    set_program_header(file, static_cast<unsigned>(i), program);
    file.insert(file.end(), segments[i].content.begin(), segments[i].content.end());
  }
  return file;
}

Bytes make_small_elf() {
  Bytes content(4096);
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<std::byte>(i * 7 + i / 256);
  }
  return make_elf({{0x1000000, content, 8192}}, 0x1000010);
}

Elf64_Ehdr elf_header(const Bytes& file) {
  return get<Elf64_Ehdr>(file, 0);
}
void set_elf_header(Bytes& file, const Elf64_Ehdr& header) {
  put(file, 0, header);
}
Elf64_Phdr program_header(const Bytes& file, unsigned index) {
  return get<Elf64_Phdr>(file, sizeof(Elf64_Ehdr) + index * sizeof(Elf64_Phdr));
}
void set_program_header(Bytes& file, unsigned index, const Elf64_Phdr& header) {
  put(file, sizeof(Elf64_Ehdr) + index * sizeof(Elf64_Phdr), header);
}

Bytes make_payload() {
  Bytes payload(1500);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<std::byte>(i * 11 + i / 256);
  }
  return payload;
}

Bytes make_bzimage(std::span<const std::byte> payload) {
  constexpr std::size_t kStart = kSetupBytes + kPayloadOffset;
  Bytes file(align_up(kStart + payload.size(), 16));
  std::copy(payload.begin(), payload.end(), file.begin() + kStart);
  const std::string_view release = "6.12.0-test (somebody) #1";
  std::memcpy(file.data() + 0x300, release.data(), release.size());
  ::setup_header header{};
  header.setup_sects = 1;
  header.syssize = static_cast<std::uint32_t>((file.size() - kSetupBytes) / 16);
  header.boot_flag = 0xaa55;
  header.jump = 0x6aeb;  // the header ends at 0x202 + 0x6a
  header.header = 0x53726448;
  header.version = 0x020f;
  header.kernel_version = 0x100;
  header.loadflags = LOADED_HIGH | CAN_USE_HEAP | KASLR_FLAG;
  header.initrd_addr_max = 0x7fffffff;
  header.kernel_alignment = 0x200000;
  header.relocatable_kernel = 1;
  header.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
  header.cmdline_size = 2047;
  header.payload_offset = kPayloadOffset;
  header.payload_length = static_cast<std::uint32_t>(payload.size());
  header.pref_address = 0x1000000;
  header.init_size = 0x100000;
  header.handover_offset = 0x190;
  set_header(file, header);
  return file;
}

::setup_header header_of(const Bytes& file) {
  return get<::setup_header>(file, 0x1f1);
}
void set_header(Bytes& file, const ::setup_header& header) {
  put(file, 0x1f1, header);
}

}  // namespace gpuvm::test
