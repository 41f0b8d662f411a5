// SPDX-License-Identifier: Apache-2.0
// Decompression of a bzImage's payload: gzip, xz, zstd and lz4 as Linux's build makes them
// (scripts/Makefile.lib of the kernel; formats: RFC 1952, the .xz file format 1.1, RFC 8878, the
// LZ4 legacy frame). The last four bytes of a payload hold the size of what comes out: that is
// gzip's own ISIZE, and the kernel's build appends it to the others.
// Missing: bzip2, LZMA-alone and LZO, which no distribution uses; such kernels decompress
// themselves in the guest. Stateless: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/base/mapped_region.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

enum class Compression { kUnknown, kGzip, kXz, kZstd, kLz4, kBzip2, kLzma, kLzo };

/// "gzip", …; "unknown" for kUnknown.
std::string_view to_string(Compression compression);

/// By the first bytes, as the kernel's lib/decompress.c knows them.
Compression detect_compression(std::span<const std::byte> payload);

/// True for the four formats that decompress_payload() knows.
bool can_decompress(Compression compression);

/// A decompressed payload, in memory of its own that costs nothing until it is written.
class DecompressedPayload {
 public:
  DecompressedPayload() = default;
  DecompressedPayload(MappedRegion memory, std::size_t size)
      : memory_(std::move(memory)), size_(size) {}
  std::span<const std::byte> bytes() const { return memory_.bytes().first(size_); }

 private:
  MappedRegion memory_;
  std::size_t size_ = 0;
};

/// What comes out may not be larger than this; the largest distribution kernels have 70 MiB.
inline constexpr std::uint64_t kDecompressedMax = 512_MiB;

/// Decompresses a whole payload, its four size bytes included. Errors: kConfig when it is cut off,
/// damaged, larger than kDecompressedMax or not of the size it states; kHost without memory.
Result<DecompressedPayload> decompress_payload(Compression compression,
                                               std::span<const std::byte> payload);

}  // namespace gpuvm
