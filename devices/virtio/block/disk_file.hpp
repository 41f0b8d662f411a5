// SPDX-License-Identifier: Apache-2.0
// DiskFile: a raw image file or a block device of the host as a disk. Goes through the host's page
// cache; flush() is fdatasync(2). The file is locked as long as it is open (open file description
// locks, fcntl(2)): one writer, or any number of readers.
// Missing: other formats, O_DIRECT, growing while open.
#pragma once

#include <memory>
#include <string>

#include "devices/virtio/block/disk.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class DiskFile : public Disk {
 public:
  enum class Use {
    kGuest,
    kLook,  ///< whether a guest could have it: nothing is locked, nothing opened for writing
  };
  struct Options {
    std::string path;
    bool read_only = false;
    Use use = Use::kGuest;
  };
  /// Opens and locks; writes nothing. Errors, each naming the file and the cure: kConfig (absent, a
  /// directory, an odd size, another format), kHost (no permission, in use).
  static Result<std::unique_ptr<DiskFile>> open(const Options& options);

  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override;
  Status write(std::uint64_t offset, std::span<const iovec> pieces) override;
  Status flush() override;
  /// Does nothing where the file system cannot.
  Status discard(std::uint64_t offset, std::uint64_t length) override;
  Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) override;

 private:
  enum class Direction { kRead, kWrite };
  DiskFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Status measure();
  Status check_format() const;
  Status lock(bool look) const;
  Status transfer(Direction direction, std::uint64_t offset, std::span<const iovec> pieces) const;
  Status write_buffer_of_zeroes(std::uint64_t offset, std::uint64_t length) const;

  const std::string path_;
  UniqueFd fd_;
  Geometry geometry_;
};

}  // namespace gpuvm
