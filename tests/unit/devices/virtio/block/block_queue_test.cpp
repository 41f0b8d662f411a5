// SPDX-License-Identifier: Apache-2.0
// BlockQueue behind a block device: how much is on its way at once.
#include "devices/virtio/block/block_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "devices/virtio/block/block_device.hpp"
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

}  // namespace
}  // namespace gpuvm::block_queue_test
