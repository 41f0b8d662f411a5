// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/uring_queue.hpp"

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <numeric>
#include <thread>

namespace gpuvm {
namespace {

constexpr std::array kWantedOperations = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                          IORING_OP_FALLOCATE};

bool has_operations(io_uring* ring) {
  io_uring_probe* const probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) {
    return false;
  }
  bool all = true;
  for (const auto operation : kWantedOperations) {
    all = all && io_uring_opcode_supported(probe, operation) != 0;
  }
  io_uring_free_probe(probe);
  return all;
}

/// By a guest's flushes alone there would be four for each CPU of the host, and each queue. What
/// works on no file or block device is not asked for, so one thread is too many for it. An old
/// kernel knows no limit.
void limit_workers(io_uring* ring) {
  std::array<unsigned, 2> most{UringQueue::kMostWorkers, 1};
  io_uring_register_iowq_max_workers(ring, most.data());
}

/// What a ring does passes by no seccomp filter: one that takes more operations would open files
/// and sockets for a guest that has taken its thread over. Without flags of entries, which no
/// request has, and without a further registration (io_uring_register(2),
/// IORING_REGISTER_RESTRICTIONS, Linux 5.10). False: this kernel cannot.
bool restrict_ring(io_uring* ring) {
  std::array<io_uring_restriction, kWantedOperations.size()> allowed{};
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    allowed.at(i).opcode = IORING_RESTRICTION_SQE_OP;
    allowed.at(i).sqe_op = static_cast<std::uint8_t>(kWantedOperations.at(i));
  }
  // Raw: liburing 2.3 declares functions for both that its library lacks.
  return ::syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS,
                   allowed.data(), allowed.size()) == 0 &&
         ::syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr,
                   0U) == 0;
}

}  // namespace

UringQueue::UringQueue(UringDisk& disk, unsigned entries, Submit submit)
    : disk_(disk),
      submit_(submit ? std::move(submit) : Submit(io_uring_submit)),
      ring_(std::make_unique<io_uring>()),
      slots_(entries),
      free_(entries) {
  std::iota(free_.rbegin(), free_.rend(), std::size_t{0});
}

Result<std::unique_ptr<UringQueue>> UringQueue::create(UringDisk& disk, unsigned entries,
                                                       Submit submit) {
  std::unique_ptr<UringQueue> queue(new UringQueue(disk, entries, std::move(submit)));
  // The completion queue has twice the entries and never overflows.
  if (const int error = io_uring_queue_init(entries, queue->ring_.get(), IORING_SETUP_R_DISABLED);
      error < 0) {
    return fail_errno(ErrorKind::kHost, "io_uring cannot be had", -error);
  }
  queue->is_set_up_ = true;
  if (!has_operations(queue->ring_.get())) {
    return fail(ErrorKind::kHost, "io_uring of this kernel is too old");
  }
  limit_workers(queue->ring_.get());
  if (!restrict_ring(queue->ring_.get())) {
    return fail(ErrorKind::kHost, "io_uring of this kernel cannot be restricted (Linux 5.10)");
  }
  return queue;
}

UringQueue::~UringQueue() {
  if (is_set_up_) {
    io_uring_queue_exit(ring_.get());
  }
}

void UringQueue::fill(io_uring_sqe& entry, const DiskOperation& operation,
                      const UringTarget& target) {
  const auto pieces = static_cast<unsigned>(operation.pieces.size());
  switch (operation.kind) {
    case DiskOperation::Kind::kRead:
      io_uring_prep_readv(&entry, target.fd, operation.pieces.data(), pieces, operation.offset);
      return;
    case DiskOperation::Kind::kWrite:
      io_uring_prep_writev(&entry, target.fd, operation.pieces.data(), pieces, operation.offset);
      return;
    case DiskOperation::Kind::kFlush:
      io_uring_prep_fsync(&entry, target.fd, IORING_FSYNC_DATASYNC);
      return;
    case DiskOperation::Kind::kDiscard:
    case DiskOperation::Kind::kWriteZeroes:
      io_uring_prep_fallocate(&entry, target.fd, target.mode, static_cast<off_t>(operation.offset),
                              static_cast<off_t>(operation.length));
      return;
  }
}

bool UringQueue::add(const DiskOperation& operation, void* tag) {
  const auto target = disk_.target_of(operation);
  if (target.fd < 0 || free_.empty() || operation.pieces.size() > IOV_MAX) {
    return false;
  }
  io_uring_sqe* entry = io_uring_get_sqe(ring_.get());
  if (entry == nullptr) {
    submit();
    entry = io_uring_get_sqe(ring_.get());
  }
  if (entry == nullptr) {
    return false;
  }
  const std::size_t slot = free_.back();
  free_.pop_back();
  slots_[slot] = {.operation = operation, .tag = tag};
  fill(*entry, operation, target);
  io_uring_sqe_set_data64(entry, slot);
  return true;
}

/// Less than all is taken while the kernel has no memory for it, and up to an entry that it
/// refuses, which has its answer like any other: what is behind must not wait for the next request.
void UringQueue::submit() {
  while (io_uring_sq_ready(ring_.get()) > 0) {
    if (submit_(ring_.get()) <= 0) {
      std::this_thread::yield();
    }
  }
}

int UringQueue::event() const {
  return ring_->ring_fd;
}

void UringQueue::reap(std::vector<Finished>& out) {
  std::array<io_uring_cqe*, 32> entries{};
  unsigned count = 0;
  while ((count = io_uring_peek_batch_cqe(ring_.get(), entries.data(), entries.size())) > 0) {
    for (unsigned i = 0; i < count; ++i) {
      const auto slot = static_cast<std::size_t>(io_uring_cqe_get_data64(entries[i]));
      const int result = entries[i]->res;
      const auto& done = slots_[slot];
      out.push_back({.tag = done.tag, .status = disk_.settle(done.operation, result)});
      free_.push_back(slot);
    }
    io_uring_cq_advance(ring_.get(), count);
  }
}

void UringQueue::wait() {
  io_uring_cqe* entry = nullptr;
  while (io_uring_wait_cqe(ring_.get(), &entry) == -EINTR) {
  }
}

}  // namespace gpuvm
