// SPDX-License-Identifier: Apache-2.0
// qemu-storage-daemon, the real one, at the other end of our vhost-user: requests of a driver in
// guest memory, stops with requests in flight, and kills while it writes. Exit status 77 without
// it.
#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "devices/virtio/block/block_spec.hpp"
#include "devices/virtio/vhost_user/vhost_user_device.hpp"
#include "devices/virtio/vhost_user/vhost_user_queues.hpp"
#include "tests/unit/devices/virtio/ring_driver.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/storage/overlay.hpp"
#include "vmm/storage/storage_daemon.hpp"

namespace gpuvm::storage_daemon_interop {
namespace {

using test::RingDriver;
using virtio_block::RequestType;

constexpr std::uint64_t kDiskSize = 16 << 20;
constexpr std::uint64_t kHeader = 0x8000;
constexpr std::uint64_t kData = 0x10000;
constexpr std::uint64_t kStatus = 0x9000;
constexpr std::uint32_t kBlock = 4096;
constexpr int kPatienceMs = 30000;

struct Ignore : QueueListener {
  void queue_used(std::size_t) override {}
  void queues_broken(const Error&) override {}
};

/// A guest's memory, its driver and what serves its disk.
class Disk {
 public:
  explicit Disk(const StorageDaemon::Options& options) : daemon_(StorageDaemon::start(options)) {
    if (!daemon_) {
      return;
    }
    auto client = vhost_user::Client::create((*daemon_)->take_socket(), {.name = "daemon"});
    if (!client) {
      ADD_FAILURE() << (*daemon_)->explain(client.error()).to_string();
      return;
    }
    client_ = std::move(*client);
    queues_ = std::make_unique<VhostUserQueues>(VhostUserQueues::Options{.client = *client_});
    start();
  }
  bool is_there() const { return queues_ != nullptr; }
  void start() {
    const QueueBackend::Queue queue{.index = 0,
                                    .setup = driver_.setup(),
                                    .position = position_,
                                    .kick = kick_.fd(),
                                    .call = call_.fd()};
    const auto started = queues_->start({.memory = memory_,
                                         .features = virtio::kFeatureVersion1,
                                         .queues = {&queue, 1},
                                         .listener = listener_});
    EXPECT_TRUE(started) << started.error().to_string();
  }
  void stop() { position_ = queues_->stop().at(0); }
  /// Writes, reads or flushes; false: not done, since the server has gone. Data is at kData.
  bool request(RequestType type, std::uint64_t sector) {
    offer(type, sector);
    kick_.signal();
    return await() && memory_byte(kStatus) == 0;
  }
  void offer(RequestType type, std::uint64_t sector) {
    driver_.put(kHeader,
                virtio_block::RequestHeader{
                    .type = static_cast<std::uint32_t>(type), .reserved = 0, .sector = sector});
    driver_.put(kStatus, std::uint8_t{0xff});
    std::vector<virtio::Descriptor> chain{{.address = kHeader, .length = 16}};
    if (type != RequestType::kFlush) {
      chain.push_back({.address = kData,
                       .length = kBlock,
                       .flags = static_cast<std::uint16_t>(
                           type == RequestType::kRead ? virtio::kDescriptorWrite : 0)});
    }
    chain.push_back({.address = kStatus, .length = 1, .flags = virtio::kDescriptorWrite});
    driver_.chain(0, chain);
    driver_.offer(0);
    ++offered_;
  }
  bool await() {
    while (driver_.used_index() != offered_) {
      pollfd call{.fd = call_.fd(), .events = POLLIN, .revents = 0};
      if (client_->is_lost() || ::poll(&call, 1, 100) < 0) {
        return driver_.used_index() == offered_;
      }
      call_.drain();
    }
    return true;
  }
  void fill(char with) {
    memory_.write(GuestAddress(kData),
                  std::vector<std::byte>(kBlock, static_cast<std::byte>(with)));
  }
  std::uint8_t memory_byte(std::uint64_t at) const { return driver_.get<std::uint8_t>(at); }
  StorageDaemon& daemon() { return **daemon_; }
  vhost_user::Client& client() { return *client_; }
  RingDriver& driver() { return driver_; }

 private:
  GuestMemory memory_ = GuestMemory::create({.size = 2_MiB, .is_shared = true}).value();
  RingDriver driver_{memory_};
  EventFd kick_ = EventFd::create().value();
  EventFd call_ = EventFd::create().value();
  QueuePosition position_;
  std::uint16_t offered_ = 0;
  Ignore listener_;
  Result<std::unique_ptr<StorageDaemon>> daemon_;
  std::unique_ptr<vhost_user::Client> client_;
  std::unique_ptr<VhostUserQueues> queues_;
};

class StorageDaemonInterop : public ::testing::Test {
 protected:
  StorageDaemonInterop() {
    std::string pattern = std::filesystem::temp_directory_path() / "gpuvm-storage-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    const auto empty = make_overlay(kDiskSize);
    std::filesystem::copy_file(fmt::format("/proc/self/fd/{}", empty->get()), qcow2());
    std::ofstream(raw()) << std::string(kDiskSize, 'r');
  }
  ~StorageDaemonInterop() override { std::filesystem::remove_all(folder_); }
  std::string qcow2() const { return folder_ + "/image.qcow2"; }
  std::string raw() const { return folder_ + "/image.raw"; }
  std::string folder_;
};

TEST_F(StorageDaemonInterop, BytesStayOverStopsAndRuns) {
  {
    Disk disk({.path = qcow2()});
    ASSERT_TRUE(disk.is_there());
    const auto config = disk.client().config(virtio_block::kConfigSize);
    ASSERT_TRUE(config);
    EXPECT_EQ(load_le(std::span(*config).first(8)) * 512, kDiskSize);
    disk.fill('a');
    EXPECT_TRUE(disk.request(RequestType::kWrite, 8));
    disk.stop();
    disk.start();
    disk.fill('b');
    EXPECT_TRUE(disk.request(RequestType::kWrite, 16));
    // Offered and not rung for: a stop still finds it done.
    disk.fill('c');
    disk.offer(RequestType::kWrite, 24);
    disk.stop();
    EXPECT_EQ(disk.memory_byte(kStatus), 0);
    disk.start();
    EXPECT_TRUE(disk.request(RequestType::kFlush, 0));
    EXPECT_FALSE(disk.client().is_lost());
  }
  Disk disk({.path = qcow2(), .read_only = true});
  ASSERT_TRUE(disk.is_there());
  EXPECT_NE(disk.client().features() & virtio_block::kFeatureReadOnly, 0U);
  for (const char wanted : {'a', 'b', 'c'}) {
    disk.fill('x');
    EXPECT_TRUE(disk.request(RequestType::kRead, 8U * static_cast<unsigned>(wanted - 'a' + 1)));
    EXPECT_EQ(disk.memory_byte(kData + kBlock - 1), wanted);
  }
}

TEST_F(StorageDaemonInterop, WhatIsThrownAway) {
  const auto before = std::filesystem::last_write_time(raw());
  Disk disk({.path = raw(), .format = ImageFormat::kRaw, .throwaway = true, .no_flush = true});
  ASSERT_TRUE(disk.is_there());
  EXPECT_TRUE(disk.request(RequestType::kRead, 0));
  EXPECT_EQ(disk.memory_byte(kData), 'r');
  disk.fill('w');
  EXPECT_TRUE(disk.request(RequestType::kWrite, 0));
  EXPECT_TRUE(disk.request(RequestType::kFlush, 0));
  disk.fill('x');
  EXPECT_TRUE(disk.request(RequestType::kRead, 0));
  EXPECT_EQ(disk.memory_byte(kData), 'w');
  EXPECT_EQ(std::ifstream(raw()).get(), 'r');
  EXPECT_EQ(std::filesystem::last_write_time(raw()), before);
}

// What does not fit is an error of that request: the server goes on, and so do the bytes before.
TEST_F(StorageDaemonInterop, WhatIsThrownAwayHasALimit) {
  Disk disk({.path = raw(), .format = ImageFormat::kRaw, .throwaway = true, .no_flush = true});
  ASSERT_TRUE(disk.is_there());
  constexpr std::uint64_t kSmall = 2 << 20;
  ASSERT_TRUE(limit_files(disk.daemon().pid(), {.now = kSmall, .most = 64 << 20}));
  constexpr std::uint64_t kCluster = 128;  // sectors
  disk.fill('w');
  std::uint64_t written = 0;
  while (written < kDiskSize / 512 && disk.request(RequestType::kWrite, written)) {
    written += kCluster;
  }
  EXPECT_GT(written, 0U);
  EXPECT_LT(written * 512, kSmall);
  EXPECT_EQ(disk.memory_byte(kStatus), 1) << "VIRTIO_BLK_S_IOERR";
  EXPECT_FALSE(disk.client().is_lost());
  EXPECT_TRUE(disk.request(RequestType::kWrite, 0)) << "what it has it may write anew";
  disk.fill('x');
  EXPECT_TRUE(disk.request(RequestType::kRead, written - kCluster));
  EXPECT_EQ(disk.memory_byte(kData), 'w');
  ASSERT_TRUE(limit_files(disk.daemon().pid(), {.now = 64 << 20, .most = 64 << 20}));
  EXPECT_TRUE(disk.request(RequestType::kWrite, written)) << "once there is room";
}

TEST_F(StorageDaemonInterop, TwoWritersOfOneImage) {
  Disk first({.path = qcow2()});
  ASSERT_TRUE(first.is_there());
  auto second = StorageDaemon::start({.path = qcow2()});
  ASSERT_TRUE(second);
  const auto client = vhost_user::Client::create((*second)->take_socket(), {.name = "daemon"});
  ASSERT_FALSE(client);
  EXPECT_THAT((*second)->explain(client.error()).to_string(),
              ::testing::HasSubstr("Failed to get \"write\" lock"));
}

// Killed while it writes: what was flushed is there, whatever came then.
TEST_F(StorageDaemonInterop, KillsLoseNothingThatWasFlushed) {
  std::minstd_rand random(1);
  std::uint64_t flushed = 0;
  constexpr int kKills = 30;
  for (int kill = 0; kill < kKills; ++kill) {
    {
      Disk disk({.path = qcow2()});
      ASSERT_TRUE(disk.is_there());
      for (std::uint64_t i = 0; i < flushed; ++i) {
        disk.fill('x');
        ASSERT_TRUE(disk.request(RequestType::kRead, i * 8));
        ASSERT_EQ(disk.memory_byte(kData + 7), static_cast<std::uint8_t>('A' + i % 26)) << i;
      }
      std::thread killer([&, delay = std::chrono::microseconds(random() % 20000)] {
        std::this_thread::sleep_for(delay);
        disk.daemon().kill();
      });
      for (;; ++flushed) {
        disk.fill(static_cast<char>('A' + flushed % 26));
        if (!disk.request(RequestType::kWrite, flushed * 8) ||
            !disk.request(RequestType::kFlush, 0)) {
          break;
        }
      }
      killer.join();
      EXPECT_TRUE(disk.client().is_lost());
    }
    if (flushed * kBlock > kDiskSize / 2) {
      flushed = 0;
    }
  }
}

}  // namespace
}  // namespace gpuvm::storage_daemon_interop

int main(int argc, char** argv) {
  if (gpuvm::find_program("qemu-storage-daemon").empty()) {
    std::puts("skipped: qemu-storage-daemon is not installed");
    return 77;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
