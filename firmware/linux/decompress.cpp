// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/decompress.hpp"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <climits>
#include <memory>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using Input = std::span<const std::byte>;
using Output = std::span<std::byte>;

constexpr std::size_t kSizeBytes = 4;
constexpr std::uint64_t kXzMemoryLimit = 256_MiB;  // the kernel's build uses a 32 MiB dictionary
constexpr std::uint32_t kLz4LegacyMagic = 0x184c2102;

struct Magic {
  Compression compression;
  std::string_view bytes;
};

// lib/decompress.c, compressed_formats.
constexpr std::array<Magic, 8> kMagics = {{
    {Compression::kGzip, "\x1f\x8b"},
    {Compression::kGzip, "\x1f\x9e"},
    {Compression::kXz,
     "\xfd"
     "7zXZ"},
    {Compression::kZstd, "\x28\xb5\x2f\xfd"},
    {Compression::kLz4, "\x02\x21\x4c\x18"},
    {Compression::kBzip2, "BZh"},
    {Compression::kLzo, "\x89LZO"},
    {Compression::kLzma, std::string_view("\x5d\x00", 2)},
}};

Error damaged(Compression compression, std::string_view reason) {
  return fail(ErrorKind::kConfig, "The {} payload is damaged: {}; install the kernel file again",
              to_string(compression), reason);
}

// Each of these returns the number of bytes put out.

Result<std::size_t> expand_gzip(Input in, Output out) {
  z_stream stream{};
  if (::inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) {  // + 16: expect a gzip header
    return fail(ErrorKind::kHost, "Cannot start zlib: out of memory");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, ::inflateEnd);
  // zlib takes its input by a pointer to non-const but does not write there.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (::inflate(&stream, Z_FINISH) != Z_STREAM_END) {
    return damaged(Compression::kGzip,
                   stream.msg != nullptr ? stream.msg : "it ends early or late");
  }
  return stream.total_out;
}

Result<std::size_t> expand_xz(Input in, Output out) {
  lzma_stream stream{};  // the same as LZMA_STREAM_INIT
  if (::lzma_stream_decoder(&stream, kXzMemoryLimit, 0) != LZMA_OK) {
    return fail(ErrorKind::kHost, "Cannot start liblzma: out of memory");
  }
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> end(&stream, ::lzma_end);
  stream.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
  stream.avail_in = in.size();
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = out.size();
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK) {  // ends: liblzma fails the second call without progress
    status = ::lzma_code(&stream, LZMA_FINISH);
  }
  if (status == LZMA_MEMLIMIT_ERROR) {
    return damaged(Compression::kXz, "its dictionary is larger than any kernel's");
  }
  if (status != LZMA_STREAM_END) {
    return damaged(Compression::kXz, fmt::format("liblzma status {}", static_cast<int>(status)));
  }
  return static_cast<std::size_t>(stream.total_out);
}

Result<std::size_t> expand_zstd(Input in, Output out) {
  const std::size_t produced = ::ZSTD_decompress(out.data(), out.size(), in.data(), in.size());
  if (::ZSTD_isError(produced) != 0) {
    return damaged(Compression::kZstd, ::ZSTD_getErrorName(produced));
  }
  return produced;
}

/// The legacy frame: a magic number, then blocks of {32-bit length, data} to the end. The magic
/// number may come again between blocks (archives one after another).
Result<std::size_t> expand_lz4(Input in, Output out) {
  std::size_t produced = 0;
  while (in.size() >= sizeof(std::uint32_t)) {
    const auto length = *load_at<std::uint32_t>(in, 0);
    in = in.subspan(sizeof length);
    if (length == kLz4LegacyMagic) {
      continue;
    }
    if (length == 0 || length > in.size() || length > INT_MAX) {
      return damaged(Compression::kLz4, "a block ends past the payload");
    }
    const auto room = out.subspan(produced);
    const int got = ::LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()),
                                          reinterpret_cast<char*>(room.data()),
                                          static_cast<int>(length), static_cast<int>(room.size()));
    if (got < 0) {
      return damaged(Compression::kLz4, "a block does not decompress");
    }
    produced += static_cast<std::size_t>(got);
    in = in.subspan(length);
  }
  return produced;
}

Result<std::size_t> expand(Compression compression, Input payload, Output out) {
  const Input without_size = payload.first(payload.size() - kSizeBytes);
  switch (compression) {
    case Compression::kGzip:
      return expand_gzip(payload, out);  // here the size bytes belong to the format
    case Compression::kXz:
      return expand_xz(without_size, out);
    case Compression::kZstd:
      return expand_zstd(without_size, out);
    case Compression::kLz4:
      return expand_lz4(without_size, out);
    default:
      return fail(ErrorKind::kConfig, "A {} payload cannot be decompressed here",
                  to_string(compression));
  }
}

}  // namespace

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kXz:
      return "xz";
    case Compression::kZstd:
      return "zstd";
    case Compression::kLz4:
      return "lz4";
    case Compression::kBzip2:
      return "bzip2";
    case Compression::kLzma:
      return "lzma";
    case Compression::kLzo:
      return "lzo";
    case Compression::kUnknown:
      break;
  }
  return "unknown";
}

Compression detect_compression(std::span<const std::byte> payload) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  for (const auto& magic : kMagics) {
    if (text.substr(0, magic.bytes.size()) == magic.bytes) {
      return magic.compression;
    }
  }
  return Compression::kUnknown;
}

bool can_decompress(Compression compression) {
  return compression == Compression::kGzip || compression == Compression::kXz ||
         compression == Compression::kZstd || compression == Compression::kLz4;
}

Result<DecompressedPayload> decompress_payload(Compression compression,
                                               std::span<const std::byte> payload) {
  const auto size = payload.size() < kSizeBytes
                        ? std::nullopt
                        : load_at<std::uint32_t>(payload, payload.size() - kSizeBytes);
  if (!size || *size == 0 || *size > kDecompressedMax || payload.size() > kDecompressedMax) {
    return fail(ErrorKind::kConfig,
                "The {} payload of {} bytes states a decompressed size of {} bytes; at most {} MiB "
                "are accepted",
                to_string(compression), payload.size(), size.value_or(0), kDecompressedMax >> 20);
  }
  auto memory = TRY(
      MappedRegion::create({.size = align_up(*size, 2_MiB), .alignment = 2_MiB, .shared = false}));
  const auto produced = TRY(expand(compression, payload, memory.bytes().first(*size)));
  if (produced != *size) {
    return damaged(compression, fmt::format("it holds {} bytes and states {}", produced, *size));
  }
  return DecompressedPayload(std::move(memory), produced);
}

}  // namespace gpuvm
