// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_payload.hpp"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <limits>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kSizeBytes = 4;
/// lib/decompress.c of Linux tells compressors by their first bytes, too.
constexpr std::array<std::uint8_t, 2> kGzipMagic{0x1f, 0x8b};
constexpr std::array<std::uint8_t, 6> kXzMagic{0xfd, '7', 'z', 'X', 'Z', 0};
constexpr std::array<std::uint8_t, 4> kZstdMagic{0x28, 0xb5, 0x2f, 0xfd};
/// lz4_Frame_format.md, "Legacy frame".
constexpr std::array<std::uint8_t, 4> kLz4Magic{0x02, 0x21, 0x4c, 0x18};
constexpr std::uint64_t kLz4BlockMax = 8_MiB;
/// Of xz's dictionary; Linux's build takes 32 MiB, xz's highest preset 64.
constexpr std::uint64_t kXzMemoryMax = 512_MiB;

template <std::size_t kSize>
bool begins_with(Bytes bytes, const std::array<std::uint8_t, kSize>& magic) {
  return bytes.size() >= kSize &&
         std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](std::uint8_t a, std::byte b) { return std::byte{a} == b; });
}

std::optional<KernelPayload::Format> format_of(Bytes bytes) {
  using Format = KernelPayload::Format;
  if (begins_with(bytes, kGzipMagic)) {
    return Format::kGzip;
  }
  if (begins_with(bytes, kXzMagic)) {
    return Format::kXz;
  }
  if (begins_with(bytes, kZstdMagic)) {
    return Format::kZstd;
  }
  return begins_with(bytes, kLz4Magic) ? std::optional(Format::kLz4) : std::nullopt;
}

// Each: how many bytes came out; nothing: the stream is damaged, or there are more.

std::optional<std::size_t> unpack_gzip(Bytes stream, std::span<std::byte> target) {
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  z_stream state{};
  if (stream.size() > std::numeric_limits<uInt>::max() ||
      ::inflateInit2(&state, kGzipOnly) != Z_OK) {
    return std::nullopt;
  }
  // zlib takes its input by a pointer that is not const, and does not write there.
  state.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stream.data()));
  state.avail_in = static_cast<uInt>(stream.size());
  state.next_out = reinterpret_cast<Bytef*>(target.data());
  state.avail_out = static_cast<uInt>(target.size());
  const int result = ::inflate(&state, Z_FINISH);
  const auto done = state.total_out;
  ::inflateEnd(&state);
  return result == Z_STREAM_END ? std::optional<std::size_t>(done) : std::nullopt;
}

std::optional<std::size_t> unpack_xz(Bytes stream, std::span<std::byte> target) {
  std::uint64_t memory = kXzMemoryMax;
  std::size_t in = 0;
  std::size_t out = 0;
  const auto result = ::lzma_stream_buffer_decode(
      &memory, 0, nullptr, reinterpret_cast<const std::uint8_t*>(stream.data()), &in, stream.size(),
      reinterpret_cast<std::uint8_t*>(target.data()), &out, target.size());
  return result == LZMA_OK ? std::optional(out) : std::nullopt;
}

std::optional<std::size_t> unpack_zstd(Bytes stream, std::span<std::byte> target) {
  const auto result = ::ZSTD_decompress(target.data(), target.size(), stream.data(), stream.size());
  return ::ZSTD_isError(result) == 0 ? std::optional(result) : std::nullopt;
}

std::optional<std::size_t> unpack_lz4(Bytes stream, std::span<std::byte> target) {
  stream = stream.subspan(kLz4Magic.size());
  std::size_t done = 0;
  while (stream.size() >= kSizeBytes) {  // each turn takes at least these
    const auto size = static_cast<std::size_t>(load_le(stream.first(kSizeBytes)));
    stream = stream.subspan(kSizeBytes);
    if (size > stream.size() || size > std::size_t{LZ4_COMPRESSBOUND(kLz4BlockMax)}) {
      return std::nullopt;
    }
    const std::size_t room = std::min<std::size_t>(target.size() - done, kLz4BlockMax);
    const int got = ::LZ4_decompress_safe(reinterpret_cast<const char*>(stream.data()),
                                          reinterpret_cast<char*>(target.data() + done),
                                          static_cast<int>(size), static_cast<int>(room));
    if (got < 0) {
      return std::nullopt;
    }
    done += static_cast<std::size_t>(got);
    stream = stream.subspan(size);
  }
  return done;
}

}  // namespace

std::optional<KernelPayload> KernelPayload::recognise(Bytes bytes) {
  const auto format = format_of(bytes);
  if (!format || bytes.size() < kXzMagic.size() + kSizeBytes) {
    return std::nullopt;
  }
  const auto size = static_cast<std::uint32_t>(load_le(bytes.last(kSizeBytes)));
  const bool is_own_trailer = *format == Format::kGzip;
  return KernelPayload(*format, is_own_trailer ? bytes : bytes.first(bytes.size() - kSizeBytes),
                       size);
}

Status KernelPayload::unpack(std::span<std::byte> target, const std::string& path) const {
  std::optional<std::size_t> done;
  switch (format_) {
    case Format::kGzip:
      done = unpack_gzip(stream_, target);
      break;
    case Format::kXz:
      done = unpack_xz(stream_, target);
      break;
    case Format::kZstd:
      done = unpack_zstd(stream_, target);
      break;
    case Format::kLz4:
      done = unpack_lz4(stream_, target);
      break;
  }
  if (done != target.size()) {
    return fail(ErrorKind::kConfig,
                "{} cannot be unpacked: its {} payload is damaged, or does not become the {} bytes "
                "that it says; install it again",
                path, to_string(format_), target.size());
  }
  return {};
}

std::string_view to_string(KernelPayload::Format format) {
  switch (format) {
    case KernelPayload::Format::kGzip:
      return "gzip";
    case KernelPayload::Format::kXz:
      return "xz";
    case KernelPayload::Format::kZstd:
      return "zstd";
    case KernelPayload::Format::kLz4:
      return "lz4";
  }
  return "";
}

}  // namespace gpuvm
