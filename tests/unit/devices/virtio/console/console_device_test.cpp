// SPDX-License-Identifier: Apache-2.0
// VirtioConsole with a host that takes as much as the test allows. Section numbers are those of
// VIRTIO 1.2.
#include "devices/virtio/console/console_device.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/virtio/request_driver.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::console_device_test {
namespace {

constexpr std::size_t kReceive = virtio_console::kReceiveQueue;
constexpr std::size_t kTransmit = virtio_console::kTransmitQueue;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class VirtioConsoleTest : public ::testing::Test {
 protected:
  VirtioConsoleTest()
      : channel_(ConsoleChannel::create().value()),
        device_("virtio-console", *channel_),
        driver_(device_) {
    channel_->connect({.write =
                           [this](std::span<const std::byte> bytes) {
                             const MutexLock lock(mutex_);
                             const auto taken = std::min(bytes.size(), room_);
                             room_ -= taken;
                             printed_.append(reinterpret_cast<const char*>(bytes.data()), taken);
                             return taken;
                           },
                       .input_ready = [this] { ++input_ready_; }});
  }
  void give_room(std::size_t room) {
    {
      const MutexLock lock(mutex_);
      room_ = room;
    }
    channel_->output_ready();
  }
  std::string printed() {
    const MutexLock lock(mutex_);
    return printed_;
  }
  bool wait_printed(std::string_view text) {
    return driver_.wait_until([&] { return printed() == text; });
  }
  std::uint32_t size_shown() {
    std::array<std::byte, 4> bytes{};
    device_.config().read(0, bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }

  Mutex mutex_;
  std::size_t room_ GPUVM_GUARDED_BY(mutex_) = 1 << 20;
  std::string printed_ GPUVM_GUARDED_BY(mutex_);
  std::atomic<unsigned> input_ready_{0};
  std::unique_ptr<ConsoleChannel> channel_;
  VirtioConsole device_;
  test::RequestDriver driver_;
};

// 5.3.2 to 5.3.4.
TEST_F(VirtioConsoleTest, Identity) {
  EXPECT_EQ(device_.identity().type, 3);
  EXPECT_EQ(device_.identity().queues, 2);
  EXPECT_EQ(device_.identity().features, 1U) << "VIRTIO_CONSOLE_F_SIZE";
  EXPECT_EQ(device_.identity().config_size, 4);
}

TEST_F(VirtioConsoleTest, PrintsWhatTheGuestSends) {
  driver_.start();
  driver_.add_text(kTransmit, 0, "hello ");
  driver_.add_text(kTransmit, 1, "world");
  driver_.kick(kTransmit);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 2));
  EXPECT_EQ(printed(), "hello world");
}

TEST_F(VirtioConsoleTest, TypesIntoTheGuestsBuffers) {
  EXPECT_EQ(channel_->type(bytes_of("early")), 5U);
  driver_.start();
  driver_.add_buffer(kReceive, 0, 3);
  driver_.add_buffer(kReceive, 1, 100);
  driver_.kick(kReceive);
  ASSERT_TRUE(driver_.wait_used(kReceive, 2));
  EXPECT_EQ(driver_.text_of_used(kReceive, 0), "ear");
  EXPECT_EQ(driver_.text_of_used(kReceive, 1), "ly");
  driver_.add_buffer(kReceive, 2, 100);
  driver_.kick(kReceive);
  channel_->type(bytes_of("later"));
  ASSERT_TRUE(driver_.wait_used(kReceive, 3));
  EXPECT_EQ(driver_.text_of_used(kReceive, 2), "later");
}

// What the guest does not read is not taken, and the host hears when there is room.
TEST_F(VirtioConsoleTest, TypedBytesAreBounded) {
  const std::string much(ConsoleChannel::kMostTyped + 100, 'x');
  EXPECT_EQ(channel_->type(bytes_of(much)), ConsoleChannel::kMostTyped);
  EXPECT_EQ(channel_->type(bytes_of("more")), 0U);
  EXPECT_EQ(input_ready_, 0U);
  driver_.start();
  driver_.add_buffer(kReceive, 0, 10);
  driver_.kick(kReceive);
  ASSERT_TRUE(driver_.wait_used(kReceive, 1));
  EXPECT_EQ(input_ready_, 1U);
  EXPECT_EQ(channel_->type(bytes_of("0123456789abc")), 10U);
}

// A buffer stays the device's until all of it is taken: no byte is lost to a slow reader.
TEST_F(VirtioConsoleTest, OutputWaitsForTheHost) {
  give_room(4);
  driver_.start();
  driver_.add_text(kTransmit, 0, "first ");
  driver_.add_text(kTransmit, 1, "second");
  driver_.kick(kTransmit);
  ASSERT_TRUE(wait_printed("firs"));
  EXPECT_EQ(driver_.rings[kTransmit].used_index(), 0);
  give_room(5);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 1));
  give_room(100);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 2));
  EXPECT_EQ(printed(), "first second");
}

// A pause in the middle of a buffer: what comes later comes once.
TEST_F(VirtioConsoleTest, APauseInTheMiddleLosesNothing) {
  give_room(4);
  driver_.start();
  driver_.add_text(kTransmit, 0, "first ");
  driver_.add_text(kTransmit, 1, "second");
  driver_.kick(kTransmit);
  ASSERT_TRUE(wait_printed("firs"));
  driver_.stop();
  EXPECT_EQ(driver_.position(kTransmit).next_used, 1);
  EXPECT_EQ(driver_.position(kTransmit).next_available, 1);
  driver_.start();
  give_room(100);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 2));
  EXPECT_EQ(printed(), "first second");
}

// 5.3.5: a change of the configuration; also the first size, when a driver comes.
TEST_F(VirtioConsoleTest, TheSizeIsAnnounced) {
  std::atomic<unsigned> changes{0};
  device_.config().set_listener([&] {
    ++changes;
    driver_.tell();
  });
  channel_->resize({.columns = 80, .rows = 25});
  driver_.start();
  EXPECT_TRUE(driver_.wait([&] { return changes == 1; }));
  EXPECT_EQ(size_shown(), 25U << 16 | 80);
  channel_->resize({.columns = 132, .rows = 43});
  EXPECT_TRUE(driver_.wait([&] { return changes == 2; }));
  EXPECT_EQ(size_shown(), 43U << 16 | 132);
  driver_.stop();
  driver_.start();
  EXPECT_TRUE(driver_.wait([&] { return changes == 3; })) << "another driver";
  driver_.stop();
  device_.config().set_listener({});
}

TEST_F(VirtioConsoleTest, ABufferWithoutRoomBreaksTheDevice) {
  driver_.start();
  driver_.add_text(kReceive, 0, "nonsense");
  driver_.kick(kReceive);
  EXPECT_TRUE(driver_.wait_broken());
}

// Chains that say nothing are given back.
TEST_F(VirtioConsoleTest, EmptyOutput) {
  driver_.start();
  driver_.add_buffer(kTransmit, 0, 100);
  driver_.add_text(kTransmit, 1, "");
  driver_.kick(kTransmit);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 2));
  EXPECT_EQ(printed(), "");
  EXPECT_EQ(driver_.rings[kTransmit].used(0).length, 0U);
}

// A chain that is longer than a turn, of the same memory again and again.
TEST_F(VirtioConsoleTest, ALongChain) {
  give_room(std::size_t{1} << 30);
  driver_.start();
  std::vector<virtio::Descriptor> chain(32,
                                        {.address = driver_.place(kTransmit, 0), .length = 0x4000});
  driver_.rings[kTransmit].chain(0, chain);
  driver_.rings[kTransmit].offer(0);
  driver_.kick(kTransmit);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 1));
  EXPECT_EQ(printed().size(), 32U * 0x4000);
}

}  // namespace
}  // namespace gpuvm::console_device_test
