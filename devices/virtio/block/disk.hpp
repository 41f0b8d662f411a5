// SPDX-License-Identifier: Apache-2.0
// Disk: what holds the bytes of a block device. A file or a host's block device (disk_file.hpp), or
// a fake in tests.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "vmm/base/result.hpp"

namespace gpuvm {

enum class Unmap { kNo, kYes };

/// One thread at a time; every call may block. Offsets and lengths are in bytes, multiples of 512,
/// and inside the disk: callers check. Errors: kHost.
class Disk {
 public:
  struct Geometry {
    std::uint64_t size = 0;          ///< bytes, a multiple of 512
    std::uint32_t block_size = 512;  ///< what the disk prefers to be addressed by; a power of two
    bool read_only = false;
  };
  virtual ~Disk() = default;
  /// As it was opened: never changes. BlockDevice::resize() is told of what comes later.
  virtual const Geometry& geometry() const = 0;
  /// All of the pieces, or an error; they may lie in guest memory.
  virtual Status read(std::uint64_t offset, std::span<const iovec> pieces) = 0;
  virtual Status write(std::uint64_t offset, std::span<const iovec> pieces) = 0;
  /// What was written before survives a loss of power once this returns.
  virtual Status flush() = 0;
  /// The bytes are not needed any more; afterwards they read as anything.
  virtual Status discard(std::uint64_t offset, std::uint64_t length) = 0;
  /// The bytes become 0; with kYes the space may be given back.
  virtual Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) = 0;
};

}  // namespace gpuvm
