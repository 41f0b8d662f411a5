// SPDX-License-Identifier: Apache-2.0
// UringQueue on files of this machine, and what a disk makes of the kernel's answers. Skipped where
// the kernel has no io_uring or forbids it; the disk then works without.
#include "devices/virtio/block/uring_queue.hpp"

#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "devices/virtio/block/disk_file.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::uring_queue_test {
namespace {

using Kind = DiskOperation::Kind;

class UringQueueTest : public ::testing::TestWithParam<DiskFile::Cache> {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "uring-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    const std::string path = directory_ + "/image";
    std::ofstream(path, std::ios::binary) << std::string(1_MiB, 'x');
    disk_ = DiskFile::open({.path = path, .cache = GetParam()}).value();
    queue_ = disk_->make_queue(16);
    if (!queue_) {
      GTEST_SKIP() << "no io_uring here";
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  /// One operation to its end, on a thread of its own if wanted: the kernel must not mind.
  Status run(const DiskOperation& operation) {
    int tag = 0;
    if (!queue_->add(operation, &tag)) {
      return disk_->carry_out(operation);
    }
    queue_->submit();
    std::vector<DiskQueue::Finished> finished;
    while (finished.empty()) {
      queue_->wait();
      queue_->reap(finished);
    }
    EXPECT_EQ(finished.size(), 1U);
    EXPECT_EQ(finished[0].tag, &tag);
    return finished[0].status;
  }
  Status transfer(Kind kind, std::uint64_t offset, std::span<std::byte> bytes) {
    const iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
    return run({.kind = kind, .offset = offset, .length = bytes.size(), .pieces = {&piece, 1}});
  }
  std::string text(std::uint64_t offset, std::size_t size) const {
    std::string out(size, '?');
    std::ifstream file(directory_ + "/image", std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(out.data(), static_cast<std::streamsize>(size));
    return out;
  }

  std::string directory_;
  std::unique_ptr<DiskFile> disk_;
  std::unique_ptr<DiskQueue> queue_;
};

/// A guest that has taken the queue's thread over gets no more of the ring than requests of disks.
TEST_P(UringQueueTest, TheRingTakesNothingElse) {
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
  int fd = event.get();
  constexpr unsigned kRegisterEventfd = 4;
  EXPECT_EQ(::syscall(SYS_io_uring_register, queue_->event(), kRegisterEventfd, &fd, 1U), -1);
  EXPECT_EQ(errno, EACCES);
}

TEST_P(UringQueueTest, WritesReadsAndFlushesAlsoWhatIsNotAligned) {
  std::vector<std::byte> memory(16384);
  auto* const aligned = reinterpret_cast<std::byte*>(
      (reinterpret_cast<std::uintptr_t>(memory.data()) + 4095) / 4096 * 4096);
  for (const std::size_t shift : {0U, 1U, 512U}) {
    for (const std::uint64_t offset : {std::uint64_t{4096}, std::uint64_t{512}}) {
      const std::span<std::byte> bytes(aligned + shift, 4096);
      std::fill(bytes.begin(), bytes.end(), std::byte{'a'});
      ASSERT_TRUE(transfer(Kind::kWrite, offset, bytes));
      ASSERT_TRUE(run({.kind = Kind::kFlush}));
      EXPECT_EQ(text(offset, 4096), std::string(4096, 'a'));
      std::fill(bytes.begin(), bytes.end(), std::byte{0});
      ASSERT_TRUE(transfer(Kind::kRead, offset, bytes));
      EXPECT_EQ(bytes.front(), std::byte{'a'});
      EXPECT_EQ(bytes.back(), std::byte{'a'});
    }
  }
}

TEST_P(UringQueueTest, ZeroesAndDiscards) {
  ASSERT_TRUE(run({.kind = Kind::kWriteZeroes, .offset = 4096, .length = 8192}));
  ASSERT_TRUE(
      run({.kind = Kind::kWriteZeroes, .offset = 65536, .length = 65536, .unmap = Unmap::kYes}));
  ASSERT_TRUE(run({.kind = Kind::kDiscard, .offset = 524288, .length = 65536}));
  EXPECT_EQ(text(4095, 8194), "x" + std::string(8192, '\0') + "x");
  EXPECT_EQ(text(65536, 65537), std::string(65536, '\0') + "x");
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/image"), 1_MiB);
}

TEST_P(UringQueueTest, WhatComesBackShortIsFinishedOrIsAnError) {
  ASSERT_EQ(::truncate((directory_ + "/image").c_str(), 6144), 0);
  std::vector<std::byte> bytes(8192);
  const auto status = transfer(Kind::kRead, 0, bytes);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message().find("it was cut while in use"), std::string::npos)
      << status.error().message();
}

TEST_P(UringQueueTest, ManyAtOnceAndNoMoreThanThereIsRoomFor) {
  std::vector<std::byte> bytes(16 * 4096);
  std::vector<iovec> pieces(17);
  std::vector<DiskQueue::Finished> finished;
  for (std::size_t i = 0; i < 16; ++i) {
    pieces[i] = {.iov_base = bytes.data() + i * 4096, .iov_len = 4096};
    EXPECT_TRUE(queue_->add(
        {.kind = Kind::kRead, .offset = i * 4096, .length = 4096, .pieces = {&pieces[i], 1}},
        &pieces[i]));
  }
  EXPECT_FALSE(queue_->add({.kind = Kind::kRead}, nullptr));
  queue_->submit();
  while (finished.size() < 16) {
    queue_->wait();
    queue_->reap(finished);
  }
  std::set<void*> tags;
  for (const auto& one : finished) {
    EXPECT_TRUE(one.status);
    tags.insert(one.tag);
  }
  EXPECT_EQ(tags.size(), 16U);
  EXPECT_EQ(bytes, std::vector<std::byte>(bytes.size(), std::byte{'x'}));
}

INSTANTIATE_TEST_SUITE_P(Caches, UringQueueTest,
                         ::testing::Values(DiskFile::Cache::kWriteback, DiskFile::Cache::kNone,
                                           DiskFile::Cache::kUnsafe));

/// A file of 64 KiB as a disk.
std::unique_ptr<DiskFile> small_disk(std::string& path) {
  path = ::testing::TempDir() + "small-XXXXXX";
  const UniqueFd fd(::mkstemp(path.data()));
  EXPECT_EQ(::ftruncate(fd.get(), 65536), 0);
  return DiskFile::open({.path = path}).value();
}

// The kernel may take fewer entries than there are. What it left must not wait for a request that
// may never come.
TEST(UringSubmit, GoesOnUntilAllAreTaken) {
  std::string path;
  const auto disk = small_disk(path);
  unsigned calls = 0;
  auto queue = UringQueue::create(*disk, 16, [&calls](io_uring* ring) {
    const unsigned all = std::exchange(ring->sq.sqe_tail, ring->sq.sqe_head + 1);
    const int taken = ++calls % 2 == 0 ? -EAGAIN : io_uring_submit(ring);
    ring->sq.sqe_tail = all;
    return taken;
  });
  if (!queue) {
    GTEST_SKIP() << queue.error().to_string();
  }
  std::vector<int> tags(5);
  for (auto& tag : tags) {
    ASSERT_TRUE((*queue)->add({.kind = Kind::kFlush}, &tag));
  }
  (*queue)->submit();
  std::vector<DiskQueue::Finished> finished;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (finished.size() < tags.size() && std::chrono::steady_clock::now() < end) {
    (*queue)->reap(finished);
  }
  EXPECT_EQ(finished.size(), tags.size());
  std::filesystem::remove(path);
}

// The limit is the thread's that makes the queue, and of whoever submits to it.
TEST(UringWorkers, AreFew) {
  std::string path;
  const auto disk = small_disk(path);
  std::array<unsigned, 2> most{0, 0};
  int asked = -1;
  std::thread([&] {
    const auto queue = disk->make_queue(16);
    io_uring other{};
    if (queue && io_uring_queue_init(2, &other, 0) == 0) {
      asked = io_uring_register_iowq_max_workers(&other, most.data());
      io_uring_queue_exit(&other);
    }
  }).join();
  std::filesystem::remove(path);
  if (asked != 0) {
    GTEST_SKIP() << "no io_uring here, or none that has limits";
  }
  EXPECT_EQ(most[0], UringQueue::kMostWorkers);
  EXPECT_EQ(most[1], 1U);
}

// What a kernel may answer, and whether the operation then went well.
TEST(UringAnswers, AreErrorsOrAreDoneAgain) {
  std::string path = ::testing::TempDir() + "answers-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::ftruncate(fd, 65536), 0);
  ::close(fd);
  const auto disk = DiskFile::open({.path = path}).value();
  std::vector<std::byte> bytes(4096, std::byte{7});
  const iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
  const DiskOperation write{.kind = Kind::kWrite, .length = 4096, .pieces = {&piece, 1}};
  EXPECT_TRUE(disk->settle(write, 4096));
  for (const int again : {0, 512, -EINTR, -EAGAIN, -ECANCELED}) {
    EXPECT_TRUE(disk->settle(write, again)) << again;
  }
  for (const int error : {-EIO, -ENOSPC, -EBADF}) {
    for (const auto kind : {Kind::kWrite, Kind::kRead, Kind::kFlush, Kind::kDiscard}) {
      DiskOperation operation = write;
      operation.kind = kind;
      EXPECT_FALSE(disk->settle(operation, error)) << error;
    }
  }
  const DiskOperation zero{.kind = Kind::kWriteZeroes, .offset = 0, .length = 4096};
  EXPECT_TRUE(disk->settle(zero, -EOPNOTSUPP));  // written instead
  EXPECT_TRUE(disk->read(0, {&piece, 1}));
  EXPECT_EQ(bytes, std::vector<std::byte>(4096));
  EXPECT_FALSE(disk->settle(zero, -ENOSPC));
  EXPECT_TRUE(disk->settle({.kind = Kind::kDiscard, .length = 4096}, -EOPNOTSUPP));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace gpuvm::uring_queue_test
