// SPDX-License-Identifier: Apache-2.0
// KernelPayload: the compressed kernel inside a bzImage, for a loader that unpacks it itself.
// Specification: Documentation/arch/x86/boot.rst of Linux, "payload_offset" and "payload_length".
// What boot.rst leaves to the build (scripts/Makefile.lib, size_append): after the compressor's
// stream come four bytes with the unpacked size, little-endian; gzip's own trailer is that.
// Missing: bzip2, LZMA without xz, and LZO. Such a kernel unpacks itself in the guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

class KernelPayload {
 public:
  enum class Format { kGzip, kXz, kZstd, kLz4 };

  /// Nothing: its compressor is none of these. `bytes` stay the caller's and live as long.
  static std::optional<KernelPayload> recognise(std::span<const std::byte> bytes);

  Format format() const { return format_; }
  /// What it says that it becomes, in bytes.
  std::uint64_t unpacked_size() const { return unpacked_size_; }
  /// Fills `target`, whose size is unpacked_size(). `path` names the kernel in errors (kConfig:
  /// damaged, or of another size; kHost: no memory). `target` may change meanwhile: what is in it
  /// decides no address. Any thread.
  Status unpack(std::span<std::byte> target, const std::string& path) const;

 private:
  KernelPayload(Format format, std::span<const std::byte> stream, std::uint32_t unpacked_size)
      : format_(format), stream_(stream), unpacked_size_(unpacked_size) {}

  Format format_;
  std::span<const std::byte> stream_;
  std::uint64_t unpacked_size_;
};

/// "zstd" and so on.
std::string_view to_string(KernelPayload::Format format);

}  // namespace gpuvm
