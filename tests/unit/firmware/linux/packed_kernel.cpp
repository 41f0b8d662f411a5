// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/linux/packed_kernel.hpp"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>

#include "vmm/base/bytes.hpp"

namespace gpuvm::test {
namespace {

Bytes pack_gzip(const Bytes& bytes) {
  z_stream state{};
  ::deflateInit2(&state, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  Bytes out(::deflateBound(&state, bytes.size()));
  state.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  state.avail_in = static_cast<uInt>(bytes.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  ::deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  ::deflateEnd(&state);
  return out;
}

/// With the filter for x86 code that Linux's build has.
Bytes pack_xz(const Bytes& bytes) {
  lzma_options_lzma options{};
  ::lzma_lzma_preset(&options, 0);
  const lzma_filter filters[] = {
      {LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  Bytes out(::lzma_stream_buffer_bound(bytes.size()));
  std::size_t size = 0;
  [[maybe_unused]] const auto result =
      ::lzma_stream_buffer_encode(const_cast<lzma_filter*>(filters), LZMA_CHECK_CRC32, nullptr,
                                  reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                                  reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size());
  out.resize(size);
  return out;
}

Bytes pack_zstd(const Bytes& bytes) {
  Bytes out(::ZSTD_compressBound(bytes.size()));
  out.resize(::ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

/// In the legacy format: blocks of up to 8 MiB.
Bytes pack_lz4(const Bytes& bytes) {
  constexpr std::size_t kBlock = 8 << 20;
  Bytes out;
  append_bytes(out, std::uint32_t{0x184c2102});
  for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
    const auto size = static_cast<int>(std::min(kBlock, bytes.size() - at));
    Bytes block(static_cast<std::size_t>(LZ4_compressBound(size)));
    const int packed = ::LZ4_compress_default(reinterpret_cast<const char*>(bytes.data() + at),
                                              reinterpret_cast<char*>(block.data()), size,
                                              static_cast<int>(block.size()));
    block.resize(static_cast<std::size_t>(packed));
    append_bytes(out, static_cast<std::uint32_t>(packed));
    out.insert(out.end(), block.begin(), block.end());
  }
  return out;
}

void append_list(Bytes& file, const std::vector<std::uint32_t>& places) {
  append_bytes(file, std::uint32_t{0});
  for (const auto place : places) {
    append_bytes(file, place);
  }
}

}  // namespace

Bytes with_relocations(Bytes elf, const KernelRelocations& relocations) {
  auto header = elf_header(elf);
  header.e_shoff = elf.size();
  header.e_shnum = 1;
  header.e_shentsize = sizeof(Elf64_Shdr);
  set_elf_header(elf, header);
  elf.resize(elf.size() + sizeof(Elf64_Shdr));
  append_list(elf, relocations.add_64);
  if (!relocations.subtract_32.empty()) {
    append_list(elf, relocations.subtract_32);
  }
  append_list(elf, relocations.add_32);
  return elf;
}

Bytes pack(KernelPayload::Format format, const Bytes& bytes) {
  using Format = KernelPayload::Format;
  Bytes out = format == Format::kGzip   ? pack_gzip(bytes)
              : format == Format::kXz   ? pack_xz(bytes)
              : format == Format::kZstd ? pack_zstd(bytes)
                                        : pack_lz4(bytes);
  if (format != Format::kGzip) {
    append_bytes(out, static_cast<std::uint32_t>(bytes.size()));
  }
  return out;
}

}  // namespace gpuvm::test
