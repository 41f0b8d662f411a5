// SPDX-License-Identifier: Apache-2.0
// UringQueue: operations on files by io_uring (io_uring(7)), so that many are on their way at once
// without a thread for each. What comes back short or interrupted is finished by the disk itself,
// synchronously.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/block/disk.hpp"

struct io_uring;
struct io_uring_sqe;

namespace gpuvm {

/// What a disk tells of an operation before it goes to the kernel.
struct UringTarget {
  int fd = -1;   ///< -1: only carry_out() can
  int mode = 0;  ///< of fallocate(2)
};

class UringDisk : public Disk {
 public:
  virtual UringTarget target_of(const DiskOperation& operation) const = 0;
  /// What is left to do, or the error, after the kernel said `result`: bytes, or -errno.
  virtual Status settle(const DiskOperation& operation, int result) = 0;
};

/// An operation that is on its way must be reaped by the thread that submitted it, before that
/// ends.
class UringQueue : public DiskQueue {
 public:
  /// `disk` must outlive it. Errors: kHost: the kernel has no io_uring, or it is forbidden here.
  static Result<std::unique_ptr<UringQueue>> create(UringDisk& disk, unsigned entries);
  ~UringQueue() override;
  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;

  bool add(const DiskOperation& operation, void* tag) override;
  void submit() override;
  int event() const override;
  void reap(std::vector<Finished>& out) override;
  void wait() override;

 private:
  struct Slot {
    DiskOperation operation;
    void* tag = nullptr;
  };
  UringQueue(UringDisk& disk, unsigned entries);
  static void fill(io_uring_sqe& entry, const DiskOperation& operation, const UringTarget& target);

  UringDisk& disk_;
  std::unique_ptr<io_uring> ring_;
  bool is_set_up_ = false;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
};

}  // namespace gpuvm
