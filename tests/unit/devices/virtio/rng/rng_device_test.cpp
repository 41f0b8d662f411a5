// SPDX-License-Identifier: Apache-2.0
// RngDevice with a source of bytes that counts. Section numbers are those of VIRTIO 1.2.
#include "devices/virtio/rng/rng_device.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/virtio/request_driver.hpp"

namespace gpuvm::rng_device_test {
namespace {

using namespace std::chrono_literals;

class RngDeviceTest : public ::testing::Test {
 protected:
  RngDevice::Options options() {
    return {
        .name = "rng",
        .fill = [this](std::span<std::byte> out) -> Status {
          if (fails_) {
            return fail(ErrorKind::kHost, "no bytes");
          }
          for (auto& byte : out) {
            byte = static_cast<std::byte>('a' + next_++ % 26);
          }
          return {};
        },
        .now =
            [this] { return RngDevice::Clock::time_point(std::chrono::nanoseconds(now_.load())); }};
  }
  void create(RngDevice::Options options) {
    device_ = RngDevice::create(std::move(options)).value();
    driver_ = std::make_unique<test::RequestDriver>(*device_);
    driver_->start();
  }
  std::string shown(const char* key) const {
    InspectNode node;
    device_->inspect(node);
    return std::string(node.get(key));
  }
  std::atomic<std::int64_t> now_{1};
  std::atomic<bool> fails_{false};
  unsigned next_ = 0;
  std::unique_ptr<RngDevice> device_;
  std::unique_ptr<test::RequestDriver> driver_;
};

// 5.4.1 to 5.4.4: one queue, no features, no configuration.
TEST_F(RngDeviceTest, Identity) {
  create(options());
  EXPECT_EQ(device_->identity().type, 4);
  EXPECT_EQ(device_->identity().queues, 1);
  EXPECT_EQ(device_->identity().features, 0U);
  EXPECT_EQ(device_->identity().config_size, 0);
}

// 5.4.6: one or more random bytes in each buffer.
TEST_F(RngDeviceTest, FillsBuffers) {
  create(options());
  driver_->add_buffer(0, 0, 5);
  driver_->add_buffer(0, 1, 3);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_used(0, 2));
  EXPECT_EQ(driver_->text_of_used(0, 0), "abcde");
  EXPECT_EQ(driver_->text_of_used(0, 1), "fgh");
  EXPECT_EQ(shown("bytes"), "8");
  EXPECT_EQ(shown("delayed_requests"), "0");
}

TEST_F(RngDeviceTest, ALargeBufferIsFilledInPart) {
  create(options());
  driver_->add_buffer(0, 0, 8192);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_used(0, 1));
  EXPECT_EQ(driver_->rings[0].used(0).length, RngDevice::kMostOfRequest);
}

TEST_F(RngDeviceTest, TheHostsBytesDiffer) {
  auto real = options();
  real.fill = RngDevice::host_random;
  create(std::move(real));
  driver_->add_buffer(0, 0, 64);
  driver_->add_buffer(0, 1, 64);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_used(0, 2));
  EXPECT_NE(driver_->text_of_used(0, 0), driver_->text_of_used(0, 1));
}

// The clock stands still: what goes beyond the burst waits, in order, and comes when time passes.
TEST_F(RngDeviceTest, MoreThanTheRateWaits) {
  auto slow = options();
  slow.bytes_per_second = 1 << 20;  // a delayed request asks for the time again in under 4 ms
  slow.burst = RngDevice::kMostOfRequest;
  create(std::move(slow));
  driver_->add_buffer(0, 0, 4096);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_used(0, 1));
  driver_->add_buffer(0, 1, 1);
  driver_->add_buffer(0, 2, 2);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_until([this] { return shown("delayed_requests") == "2"; }));
  EXPECT_EQ(driver_->rings[0].used_index(), 1);
  now_ += std::chrono::nanoseconds(1s).count();
  ASSERT_TRUE(driver_->wait_used(0, 3));
  EXPECT_EQ(driver_->text_of_used(0, 1).size(), 1U);
  EXPECT_EQ(driver_->text_of_used(0, 2).size(), 2U);
}

// Small requests are not for nothing: 16 of them use up what 4096 bytes cost.
TEST_F(RngDeviceTest, ManySmallRequestsAreLimited) {
  auto slow = options();
  slow.burst = RngDevice::kMostOfRequest;
  create(std::move(slow));
  for (std::uint16_t i = 0; i < 20; ++i) {
    driver_->add_buffer(0, i, 1);
  }
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_used(0, 16));
  driver_->stop();
  EXPECT_EQ(driver_->position(0).next_used, 16);
  EXPECT_EQ(driver_->position(0).next_available, 16) << "those that waited were given back";
  now_ += std::chrono::nanoseconds(1s).count();
  driver_->start();
  ASSERT_TRUE(driver_->wait_used(0, 20));
}

// A reset gives a guest no new burst.
TEST_F(RngDeviceTest, TheLimitOutlivesAReset) {
  auto slow = options();
  slow.burst = RngDevice::kMostOfRequest;
  create(std::move(slow));
  driver_->add_buffer(0, 0, 4096);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_used(0, 1));
  driver_->stop();
  driver_->start();
  driver_->add_buffer(0, 1, 4096);
  driver_->kick(0);
  ASSERT_TRUE(driver_->wait_until([this] { return shown("delayed_requests") == "1"; }));
  EXPECT_EQ(driver_->rings[0].used_index(), 1);
}

// 5.4.6.1: the driver must not place device-readable buffers.
TEST_F(RngDeviceTest, ABufferWithoutRoomBreaksTheDevice) {
  create(options());
  driver_->add_text(0, 0, "nonsense");
  driver_->kick(0);
  EXPECT_TRUE(driver_->wait_broken());
}

TEST_F(RngDeviceTest, AChainThatLoopsBreaksTheDevice) {
  create(options());
  driver_->rings[0].descriptor(0, {.address = driver_->place(0, 0),
                                   .length = 16,
                                   .flags = virtio::kDescriptorWrite | virtio::kDescriptorNext,
                                   .next = 0});
  driver_->rings[0].offer(0);
  driver_->kick(0);
  EXPECT_TRUE(driver_->wait_broken());
}

TEST_F(RngDeviceTest, AHostWithoutBytesBreaksTheDevice) {
  create(options());
  fails_ = true;
  driver_->add_buffer(0, 0, 16);
  driver_->kick(0);
  EXPECT_TRUE(driver_->wait_broken());
}

}  // namespace
}  // namespace gpuvm::rng_device_test
