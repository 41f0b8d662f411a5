// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/linux/kernel_builder.hpp"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
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

Bytes gzip(std::span<const std::byte> content) {
  z_stream stream{};
  ::deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(::deflateBound(&stream, content.size()));
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

/// As scripts/xz_wrap.sh: CRC32 check, x86 BCJ filter, LZMA2.
Bytes xz(std::span<const std::byte> content) {
  lzma_options_lzma options{};
  ::lzma_lzma_preset(&options, 1);
  std::array<lzma_filter, 3> filters = {
      {{LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}}};
  Bytes out(::lzma_stream_buffer_bound(content.size()));
  std::size_t size = 0;
  const lzma_ret result = ::lzma_stream_buffer_encode(
      filters.data(), LZMA_CHECK_CRC32, nullptr,
      reinterpret_cast<const std::uint8_t*>(content.data()), content.size(),
      reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size());
  out.resize(result == LZMA_OK ? size : 0);
  return out;
}

Bytes zstd(std::span<const std::byte> content) {
  Bytes out(::ZSTD_compressBound(content.size()));
  out.resize(::ZSTD_compress(out.data(), out.size(), content.data(), content.size(), 19));
  return out;
}

/// Blocks of 4 KiB, so that even a small test has several.
Bytes lz4_legacy(std::span<const std::byte> content) {
  Bytes out;
  append_bytes(out, std::uint32_t{0x184c2102});
  while (!content.empty()) {
    const auto block = content.first(std::min<std::size_t>(content.size(), 4096));
    Bytes packed(static_cast<std::size_t>(::LZ4_compressBound(static_cast<int>(block.size()))));
    const int size = ::LZ4_compress_default(
        reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(packed.data()),
        static_cast<int>(block.size()), static_cast<int>(packed.size()));
    append_bytes(out, static_cast<std::uint32_t>(size));
    out.insert(out.end(), packed.begin(), packed.begin() + size);
    content = content.subspan(block.size());
  }
  return out;
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

Bytes make_payload(Compression compression, std::span<const std::byte> content) {
  Bytes out;
  switch (compression) {
    case Compression::kGzip:
      return gzip(content);  // its last four bytes are the size already
    case Compression::kXz:
      out = xz(content);
      break;
    case Compression::kZstd:
      out = zstd(content);
      break;
    case Compression::kLz4:
      out = lz4_legacy(content);
      break;
    default:
      break;
  }
  append_bytes(out, static_cast<std::uint32_t>(content.size()));
  return out;
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
