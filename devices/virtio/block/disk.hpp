// SPDX-License-Identifier: Apache-2.0
// Disk: what holds the bytes of a block device. A file or a host's block device (disk_file.hpp), or
// a fake in tests. DiskQueue: operations of one queue on their way, where the disk has such.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

enum class Unmap { kNo, kYes };

/// What a disk is asked to do. Offsets and lengths are in bytes, multiples of 512, and inside the
/// disk: callers check.
struct DiskOperation {
  enum class Kind { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };
  Kind kind = Kind::kFlush;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;            ///< of all pieces, for those that have some
  std::span<const iovec> pieces = {};  ///< of kRead and kWrite; may lie in guest memory
  Unmap unmap = Unmap::kNo;            ///< of kWriteZeroes
};

/// One thread at a time.
class DiskQueue {
 public:
  struct Finished {
    void* tag = nullptr;
    Status status;
  };
  virtual ~DiskQueue() = default;
  /// The operation begins at the next submit() at the latest, and its pieces stay until it has
  /// finished. False: this one can only be carried out by Disk::carry_out(), or not now.
  virtual bool add(const DiskOperation& operation, void* tag) = 0;
  virtual void submit() = 0;
  /// A descriptor that is readable while reap() has something.
  virtual int event() const = 0;
  /// What has finished, appended to `out`.
  virtual void reap(std::vector<Finished>& out) = 0;
  /// Returns when something has finished; only while something has not.
  virtual void wait() = 0;
};

/// Any thread, several at a time; every call may block. Errors: kHost.
class Disk {
 public:
  struct Geometry {
    std::uint64_t size = 0;          ///< bytes, a multiple of 512
    std::uint32_t block_size = 512;  ///< what the disk prefers to be addressed by; a power of two
    bool read_only = false;
    bool discard = true;  ///< what is not needed is given back
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

  Status carry_out(const DiskOperation& operation);

  /// A queue for so many operations at once; null: carry_out() is all there is.
  virtual std::unique_ptr<DiskQueue> make_queue([[maybe_unused]] unsigned entries) {
    return nullptr;
  }
  /// Whether carry_out() is soon done with an operation for which a queue would wake another
  /// thread.
  virtual bool is_quick([[maybe_unused]] const DiskOperation& operation) const { return false; }
  /// Its size in bytes now, as a multiple of 512.
  virtual std::uint64_t current_size() { return geometry().size; }
  /// By what the disk works, for inspect: key and value.
  virtual std::vector<std::pair<std::string, std::string>> describe() const { return {}; }
};

}  // namespace gpuvm
