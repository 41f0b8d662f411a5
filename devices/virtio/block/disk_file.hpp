// SPDX-License-Identifier: Apache-2.0
// DiskFile: a raw image file or a block device of the host as a disk. The file is locked as long as
// it is open (open file description locks, fcntl(2)): one writer, or any number of readers.
// With Cache::kNone data goes past the page cache (O_DIRECT, open(2)) wherever place and memory of
// a request are aligned as the file wants it; what is not goes through the page cache, which the
// kernel keeps coherent. Missing: BLKDISCARD and zeroes that a file system cannot make, by
// io_uring: they are done by the queue's own thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "devices/virtio/block/uring_queue.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class DiskFile : public UringDisk {
 public:
  enum class Use {
    kGuest,
    kLook,  ///< whether a guest could have it: nothing is locked, nothing opened for writing
  };
  enum class Cache {
    kWriteback,
    kNone,
    kUnsafe,  ///< as kWriteback, and flush() does nothing
  };
  struct Options {
    std::string path;
    bool read_only = false;
    Use use = Use::kGuest;
    Cache cache = Cache::kWriteback;
    bool discard = true;
    bool uring = true;  ///< io_uring where the kernel has it
  };
  /// Opens and locks; writes nothing. Errors, each naming the file and the cure: kConfig (absent, a
  /// directory, an odd size, another format), kHost (no permission, in use).
  static Result<std::unique_ptr<DiskFile>> open(const Options& options);

  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override;
  Status write(std::uint64_t offset, std::span<const iovec> pieces) override;
  Status flush() override;
  /// Does nothing where file system or device cannot.
  Status discard(std::uint64_t offset, std::uint64_t length) override;
  Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) override;

  std::unique_ptr<DiskQueue> make_queue(unsigned entries) override;
  bool is_quick(const DiskOperation& operation) const override;
  std::uint64_t current_size() override;
  std::vector<std::pair<std::string, std::string>> describe() const override;

  UringTarget target_of(const DiskOperation& operation) const override;
  Status settle(const DiskOperation& operation, int result) override;

 private:
  enum class Direction { kRead, kWrite };
  DiskFile(Options options, UniqueFd fd) : options_(std::move(options)), fd_(std::move(fd)) {}
  Status measure();
  void open_direct();
  Status check_contents() const;
  Status lock(bool look) const;
  int descriptor_for(std::uint64_t offset, std::span<const iovec> pieces) const;
  int zero_mode(Unmap unmap) const;
  Error error_of(const DiskOperation& operation, int number) const;
  Status finish_transfer(const DiskOperation& operation, std::uint64_t done) const;
  Status transfer(Direction direction, std::uint64_t offset, std::vector<iovec> left) const;
  Status write_buffer_of_zeroes(std::uint64_t offset, std::uint64_t length) const;

  const Options options_;
  UniqueFd fd_;
  UniqueFd direct_;                     ///< the same file, past the page cache; none: it cannot be
  std::uint32_t memory_alignment_ = 0;  ///< of direct_; powers of two
  std::uint32_t offset_alignment_ = 0;
  bool is_device_ = false;
  std::string engine_ = "threads";  ///< before the guest runs, changed by make_queue()
  mutable std::atomic<std::uint64_t> unaligned_{0};  ///< transfers that direct_ could not take
  Geometry geometry_;
};

}  // namespace gpuvm
