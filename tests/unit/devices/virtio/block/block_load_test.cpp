// SPDX-License-Identifier: Apache-2.0
// A block device behind its queues' threads: several queues with many requests in flight on a file,
// a disk that is throttled, one that changes its size. Section numbers are those of VIRTIO 1.2.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/block/disk_file.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::block_load_test {
namespace {

using test::FunctionDriver;
using virtio::kDescriptorWrite;

/// A function of `device` that its driver has brought up.
struct Running {
  explicit Running(RequestDevice& device)
      : function(VirtioPci::create(machine.options(device)).value()), driver(machine, *function) {
    driver.bring_up();
  }
  test::FakeMachine machine;
  std::unique_ptr<VirtioPci> function;
  FunctionDriver driver;
};

class EmptyDisk : public Disk {
 public:
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status write(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status flush() override { return {}; }
  Status discard(std::uint64_t, std::uint64_t) override { return {}; }
  Status write_zeroes(std::uint64_t, std::uint64_t, Unmap) override { return {}; }

 private:
  const Geometry geometry_{.size = 1_MiB};
};

// 5.2.4 and 2.3: a disk grows under a running guest.
TEST(BlockLoad, ADiskGrowsWhileTheGuestRuns) {
  EmptyDisk disk;
  BlockDevice device("disk-0", "serial", disk);
  Running guest(device);
  auto& driver = guest.driver;
  const std::uint64_t generation_at = driver.common() + virtio::kConfigGeneration;
  const auto capacity = [&] {
    return driver.read(virtio_bar::kDevice, 4) | driver.read(virtio_bar::kDevice + 4, 4) << 32;
  };
  EXPECT_EQ(capacity(), 2048U);
  const auto generation = driver.read(generation_at, 1);
  std::thread elsewhere([&] { device.resize(std::uint64_t{3} << 41); });
  ASSERT_TRUE(driver.wait_interrupt(FunctionDriver::kConfigMessage));
  elsewhere.join();
  EXPECT_NE(driver.read(generation_at, 1), generation);
  EXPECT_EQ(capacity(), std::uint64_t{3} << 32);
}

// 2.5.3: whoever reads the same generation before and after has read no half of a change.
TEST(BlockLoad, ACapacityIsNeverReadByHalves) {
  EmptyDisk disk;
  BlockDevice device("disk-0", "serial", disk);
  Running guest(device);
  auto& driver = guest.driver;
  const std::uint64_t generation_at = driver.common() + virtio::kConfigGeneration;
  constexpr std::uint64_t kSmall = 2048;
  constexpr std::uint64_t kLarge = 0x7'0000'0007;
  device.resize(kSmall * 512);
  std::thread resizing([&] {
    for (unsigned i = 0; i < 100; ++i) {  // fewer than generations there are
      device.resize((i % 2 == 0 ? kLarge : kSmall) * 512);
    }
  });
  for (unsigned i = 0; i < 1000; ++i) {
    const auto before = driver.read(generation_at, 1);
    const auto low = driver.read(virtio_bar::kDevice, 4);
    const auto capacity = low | driver.read(virtio_bar::kDevice + 4, 4) << 32;
    if (driver.read(generation_at, 1) == before) {
      EXPECT_TRUE(capacity == kSmall || capacity == kLarge) << capacity;
    }
  }
  resizing.join();
}

/// The driver's side of one queue: slots that each have one request in flight, and blocks of the
/// disk of their own.
class QueueLoad {
 public:
  static constexpr std::uint16_t kSlots = 32;
  static constexpr std::uint64_t kBlock = 4096;

  QueueLoad(GuestMemory& memory, std::size_t index)
      : memory_(memory), ring_(memory, 128), index_(index), base_(0x100000 * (index + 1)) {
    ring_.setup().descriptors = GuestAddress(base_);
    ring_.setup().available = GuestAddress(base_ + 0x2000);
    ring_.setup().used = GuestAddress(base_ + 0x3000);
    ring_.clear();
  }
  QueueBackend::Queue queue() {
    return {.index = index_, .setup = ring_.setup(), .kick = kick_.fd()};
  }
  /// Writes and reads back, each slot its own blocks, until all have been read as they were
  /// written.
  void run(unsigned rounds) {
    std::mt19937 random(static_cast<unsigned>(index_));
    for (unsigned round = 0; round < rounds; ++round) {
      for (std::uint16_t slot = 0; slot < kSlots; ++slot) {
        expected_[slot] = static_cast<std::uint8_t>(random());
        fill(slot, expected_[slot]);
        offer(slot, round, virtio_block::RequestType::kWrite);
      }
      wait_all();
      for (std::uint16_t slot = 0; slot < kSlots; ++slot) {
        fill(slot, 0);
        offer(slot, round, virtio_block::RequestType::kRead);
      }
      wait_all();
      for (std::uint16_t slot = 0; slot < kSlots; ++slot) {
        wrong += is_filled(slot, expected_[slot]) ? 0U : 1U;
      }
    }
  }
  unsigned wrong = 0;

 private:
  std::uint64_t header(std::uint16_t slot) const { return base_ + 0x4000 + slot * 16U; }
  std::uint64_t status(std::uint16_t slot) const { return base_ + 0x5000 + slot; }
  std::uint64_t data(std::uint16_t slot) const { return base_ + 0x10000 + slot * kBlock; }
  void fill(std::uint16_t slot, std::uint8_t value) {
    const auto bytes = *memory_.slice(GuestAddress(data(slot)), kBlock);
    std::memset(bytes.data(), value, bytes.size());
  }
  bool is_filled(std::uint16_t slot, std::uint8_t value) {
    const auto bytes = *memory_.slice(GuestAddress(data(slot)), kBlock);
    return std::all_of(bytes.begin(), bytes.end(),
                       [value](std::byte byte) { return byte == std::byte{value}; });
  }
  void offer(std::uint16_t slot, unsigned round, virtio_block::RequestType type) {
    const bool reads = type == virtio_block::RequestType::kRead;
    const std::uint64_t block = (round % 4 * 4 + index_) * kSlots + slot;
    ring_.put(header(slot), virtio_block::RequestHeader{.type = static_cast<std::uint32_t>(type),
                                                        .sector = block * (kBlock / 512)});
    ring_.put(status(slot), std::uint8_t{0xff});
    const auto first = static_cast<std::uint16_t>(slot * 3);
    ring_.chain(first, {{header(slot), 16, 0, 0},
                        {data(slot), kBlock, reads ? kDescriptorWrite : std::uint16_t{0}, 0},
                        {status(slot), 1, kDescriptorWrite, 0}});
    ring_.offer(first);
    ++offered_;
    kick_.signal();
  }
  void wait_all() {
    while (ring_.used_index() != offered_) {
      std::this_thread::yield();
    }
    for (std::uint16_t slot = 0; slot < kSlots; ++slot) {
      wrong += ring_.get<std::uint8_t>(status(slot)) == 0 ? 0U : 1U;
    }
  }

  GuestMemory& memory_;
  test::RingDriver ring_;
  const std::size_t index_;
  const std::uint64_t base_;
  std::uint16_t offered_ = 0;
  EventFd kick_ = EventFd::create().value();
  std::array<std::uint8_t, kSlots> expected_{};
};

class Listener : public QueueListener {
 public:
  void queue_used(std::size_t) override {}
  void queues_broken(const Error& error) override { ADD_FAILURE() << error.to_string(); }
};

struct Way {
  DiskFile::Cache cache;
  bool uring;
};

class BlockLoadTest : public ::testing::TestWithParam<Way> {};

// Bytes are where they were written whatever is in flight beside them, also while the queues are
// stopped and started again, as a pause does it.
TEST_P(BlockLoadTest, FourQueuesKeepTheirBytes) {
  std::string path = ::testing::TempDir() + "load-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::ftruncate(fd, 4_MiB), 0);
  ::close(fd);
  const auto disk =
      DiskFile::open({.path = path, .cache = GetParam().cache, .uring = GetParam().uring}).value();
  BlockDevice device("disk-0", "serial", *disk, {.queues = 4});
  device.start(device.identity().features);
  const auto backend = InProcessQueues::create(device).value();
  auto memory = test::make_memory(8_MiB);
  std::vector<std::unique_ptr<QueueLoad>> loads;
  std::vector<QueueBackend::Queue> queues;
  for (std::size_t i = 0; i < 4; ++i) {
    loads.push_back(std::make_unique<QueueLoad>(memory, i));
    queues.push_back(loads.back()->queue());
  }
  Listener listener;
  const auto start = [&] {
    return backend->start({.memory = memory, .queues = queues, .listener = listener});
  };
  ASSERT_TRUE(start());
  std::atomic<unsigned> running{4};
  std::vector<std::thread> drivers;
  for (const auto& load : loads) {
    drivers.emplace_back([&load, &running] {
      load->run(24);
      --running;
    });
  }
  while (running > 0) {
    const auto positions = backend->stop();
    ASSERT_EQ(positions.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(positions[i].next_available, positions[i].next_used);  // nothing is in flight
      queues[i].position = positions[i];
    }
    ASSERT_TRUE(start());
    std::this_thread::yield();
  }
  for (auto& driver : drivers) {
    driver.join();
  }
  backend->stop();
  for (const auto& load : loads) {
    EXPECT_EQ(load->wrong, 0U);
  }
  std::filesystem::remove(path);
}

INSTANTIATE_TEST_SUITE_P(Ways, BlockLoadTest,
                         ::testing::Values(Way{DiskFile::Cache::kWriteback, true},
                                           Way{DiskFile::Cache::kNone, true},
                                           Way{DiskFile::Cache::kWriteback, false},
                                           Way{DiskFile::Cache::kNone, false}));

// Whoever enlarges the file need not tell us.
TEST(BlockLoad, AFileThatGrowsIsALargerDisk) {
  std::string path = ::testing::TempDir() + "grow-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::ftruncate(fd, 1_MiB), 0);
  const auto disk = DiskFile::open({.path = path}).value();
  BlockDevice device("disk-0", "serial", *disk);
  Running guest(device);
  EXPECT_EQ(guest.driver.read(virtio_bar::kDevice, 4), 2048U);
  ASSERT_EQ(::ftruncate(fd, 3_MiB + 100), 0);
  ASSERT_TRUE(guest.driver.wait_interrupt(FunctionDriver::kConfigMessage));
  EXPECT_EQ(guest.driver.read(virtio_bar::kDevice, 4), 6144U);
  ::close(fd);
  std::filesystem::remove(path);
}

// What is too much waits in the driver's ring, and nothing is lost.
TEST(BlockLoad, AThrottledDiskTakesItsTime) {
  EmptyDisk disk;
  BlockDevice device("disk-0", "serial", disk, {.limits = {.requests = 500}});
  device.start(device.identity().features);
  const auto backend = InProcessQueues::create(device).value();
  auto memory = test::make_memory(4_MiB);
  QueueLoad load(memory, 0);
  std::vector<QueueBackend::Queue> queues = {load.queue()};
  Listener listener;
  const auto before = std::chrono::steady_clock::now();
  ASSERT_TRUE(backend->start({.memory = memory, .queues = queues, .listener = listener}));
  load.run(2);  // 128 requests, of which 50 are free
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(150));
  backend->stop();
}

}  // namespace
}  // namespace gpuvm::block_load_test
