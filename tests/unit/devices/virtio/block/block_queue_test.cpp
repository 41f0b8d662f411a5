// SPDX-License-Identifier: Apache-2.0
// BlockQueue behind a block device: how much is on its way at once.
#include "devices/virtio/block/block_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "devices/virtio/block/block_device.hpp"
#include "tests/unit/devices/virtio/request_driver.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::block_queue_test {
namespace {

using virtio_block::RequestHeader;
using virtio_block::RequestType;

/// A disk that finishes nothing before it is told to.
class HeldDisk : public Disk {
 public:
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status write(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status flush() override { return {}; }
  Status discard(std::uint64_t, std::uint64_t) override { return {}; }
  Status write_zeroes(std::uint64_t, std::uint64_t, Unmap) override { return {}; }
  std::unique_ptr<DiskQueue> make_queue(unsigned) override {
    return std::make_unique<Queue>(*this);
  }
  std::vector<void*> tags;
  bool may_finish = false;

 private:
  struct Queue : DiskQueue {
    explicit Queue(HeldDisk& of) : disk(of) {}
    bool add(const DiskOperation&, void* tag) override {
      disk.tags.push_back(tag);
      return true;
    }
    void submit() override {}
    int event() const override { return -1; }
    void reap(std::vector<Finished>& out) override {
      if (disk.may_finish) {
        for (void* const tag : std::exchange(disk.tags, {})) {
          out.push_back({.tag = tag, .status = {}});
        }
      }
    }
    void wait() override {}
    HeldDisk& disk;
  };
  const Geometry geometry_{.size = 64_MiB};
};

struct NoSink : RequestSink {
  void complete(std::span<const Completion> completions) override { done += completions.size(); }
  void release(QueueRequest&) override {}
  std::size_t done = 0;
};

// Whoever stops a queue waits for all that is on its way. A chain may name the same memory again
// and again: what a guest can begin has nothing to do with how much memory it has.
TEST(BlockQueue, BeginsNoMoreThanCanBeWaitedFor) {
  HeldDisk disk;
  BlockDevice device("disk-0", "serial", disk);
  device.start(device.identity().features);
  std::vector<std::byte> memory(1_MiB);
  RequestHeader header{.type = static_cast<std::uint32_t>(RequestType::kRead), .sector = 0};
  std::byte status{};
  NoSink sink;
  std::vector<std::unique_ptr<QueueRequest>> requests;
  while (device.rest_of(0).count() == 0) {
    ASSERT_LT(requests.size(), 100U);
    requests.push_back(std::make_unique<QueueRequest>(&sink, 0));
    auto& chain = requests.back()->chain;
    chain.readable.append(std::as_writable_bytes(std::span(&header, 1)));
    for (unsigned i = 0; i < 16; ++i) {
      chain.writable.append(memory);
    }
    chain.writable.append({&status, 1});
    const auto begun = device.execute(*requests.back());
    ASSERT_TRUE(begun && !begun->is_done);
  }
  EXPECT_EQ(requests.size(), 4U);  // of 16 MiB
  device.end_batch(0);
  EXPECT_GT(device.rest_of(0).count(), 0);
  disk.may_finish = true;
  device.leave_queue(0);
  EXPECT_EQ(sink.done, 4U);
  EXPECT_EQ(device.rest_of(0).count(), 0);
}

/// Each read takes a while; what was read is one byte, the megabyte's number.
class SlowDisk : public Disk {
 public:
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const auto& piece : pieces) {
      std::this_thread::sleep_for(std::chrono::milliseconds(piece.iov_len / 1_MiB));
      std::memset(piece.iov_base, static_cast<int>(offset / 1_MiB), piece.iov_len);
      offset += piece.iov_len;
      bytes += piece.iov_len;
    }
    return {};
  }
  Status write(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status flush() override { return {}; }
  Status discard(std::uint64_t, std::uint64_t) override { return {}; }
  Status write_zeroes(std::uint64_t, std::uint64_t, Unmap) override { return {}; }
  std::atomic<std::uint64_t> bytes{0};

 private:
  const Geometry geometry_{.size = 1_GiB};
};

/// A chain that reads 60 times 7 MiB, all into the same memory, and then some bytes elsewhere.
struct LargeRead {
  static constexpr std::uint64_t kHeader = 0x20000;
  static constexpr std::uint64_t kStatus = 0x21000;
  static constexpr std::uint64_t kLast = 0x40000;
  static constexpr std::uint64_t kSize = 60 * 7_MiB + 4096;

  static void offer(test::RingDriver& ring) {
    ring.put(kHeader, RequestHeader{.type = static_cast<std::uint32_t>(RequestType::kRead)});
    ring.put(kStatus, std::uint8_t{0xff});
    std::vector<virtio::Descriptor> chain{{.address = kHeader, .length = 16}};
    for (unsigned i = 0; i < 60; ++i) {
      chain.push_back({.address = 1_MiB, .length = 7_MiB, .flags = virtio::kDescriptorWrite});
    }
    chain.push_back({.address = kLast, .length = 4096, .flags = virtio::kDescriptorWrite});
    chain.push_back({.address = kStatus, .length = 1, .flags = virtio::kDescriptorWrite});
    ring.chain(0, chain);
    ring.offer(0);
  }
};

// 420 MiB by one chain, over 7 MiB of memory: whoever stops the queue does not wait for all of it,
// and the guest that is paused misses nothing.
TEST(BlockQueue, AStopDoesNotWaitForTheWholeOfALargeRequest) {
  SlowDisk disk;
  BlockDevice device("disk-0", "serial", disk);
  test::RequestDriver driver(device, 64);
  auto& ring = driver.rings[0];
  LargeRead::offer(ring);
  driver.start();
  driver.kick(0);
  ASSERT_TRUE(test::RequestDriver::wait_until([&] { return disk.bytes > 0; }));
  driver.stop();
  EXPECT_LT(disk.bytes, LargeRead::kSize / 2);
  EXPECT_EQ(driver.position(0), (QueuePosition{}));  // given back
  EXPECT_EQ(ring.used_index(), 0U);
  disk.bytes = 0;
  driver.start();
  driver.kick(0);
  ASSERT_TRUE(driver.wait_used(0, 1));
  EXPECT_EQ(disk.bytes, LargeRead::kSize);
  EXPECT_EQ(ring.get<std::uint8_t>(LargeRead::kStatus), 0U);
  EXPECT_EQ(ring.used(0).length, LargeRead::kSize + 1);
  EXPECT_EQ(ring.get<std::uint8_t>(LargeRead::kLast), 420U % 256U);
}

}  // namespace
}  // namespace gpuvm::block_queue_test
