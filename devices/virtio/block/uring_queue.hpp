// SPDX-License-Identifier: Apache-2.0
// UringQueue: operations on files by io_uring (io_uring(7)), so that many are on their way at once
// without a thread for each. What comes back short or interrupted is finished by the disk itself,
// synchronously. What would wait (flushes, zeroes, files that cannot be read ahead) the kernel
// gives to threads of its own, of which a queue has a few and no more.
#pragma once

#include <functional>
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
  /// Threads of the kernel that may work for a queue at once (Linux 5.15 and later; before, and
  /// else, four for each CPU).
  static constexpr unsigned kMostWorkers = 4;
  /// As io_uring_submit(3), which it is but in tests.
  using Submit = std::function<int(io_uring*)>;

  /// `disk` must outlive it. Errors: kHost: the kernel has no io_uring, or it is forbidden here.
  static Result<std::unique_ptr<UringQueue>> create(UringDisk& disk, unsigned entries,
                                                    Submit submit = {});
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
  UringQueue(UringDisk& disk, unsigned entries, Submit submit);
  static void fill(io_uring_sqe& entry, const DiskOperation& operation, const UringTarget& target);

  UringDisk& disk_;
  const Submit submit_;
  std::unique_ptr<io_uring> ring_;
  bool is_set_up_ = false;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
};

}  // namespace gpuvm
