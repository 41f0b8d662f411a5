// SPDX-License-Identifier: Apache-2.0
// CommonConfig, field by field. Section numbers are those of VIRTIO 1.2.
#include "devices/virtio/common_config.hpp"

#include <gtest/gtest.h>

#include <array>

#include "vmm/base/bytes.hpp"

namespace gpuvm::common_config_test {
namespace {

using virtio::kStatusAcknowledge;
using virtio::kStatusDriver;
using virtio::kStatusDriverOk;
using virtio::kStatusFeaturesOk;
using Effect = CommonConfig::Effect;

constexpr std::uint64_t kOffered = virtio::kFeatureVersion1 | virtio::kFeatureIndirect | 0x20;

class CommonConfigTest : public ::testing::Test {
 protected:
  std::uint64_t get(std::uint64_t offset, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    EXPECT_EQ(config_.read(offset, std::span(bytes).first(size)), IoStatus::kOk) << offset;
    return load_le(std::span(bytes).first(size));
  }
  Effect set(std::uint64_t offset, std::size_t size, std::uint64_t value) {
    std::array<std::byte, 8> bytes{};
    store_le(std::span(bytes).first(size), value);
    const auto outcome = config_.write(offset, std::span(bytes).first(size));
    EXPECT_EQ(outcome.status, IoStatus::kOk) << offset;
    return outcome.effect;
  }
  Effect set_status(unsigned value) { return set(virtio::kDeviceStatus, 1, value); }
  std::uint64_t status() { return get(virtio::kDeviceStatus, 1); }
  void accept(std::uint64_t features) {
    for (unsigned i = 0; i < 2; ++i) {
      set(virtio::kDriverFeatureSelect, 4, i);
      set(virtio::kDriverFeature, 4, features >> i * 32 & 0xffffffff);
    }
  }
  void set_address(std::uint16_t field, std::uint64_t address) {
    set(field, 4, address & 0xffffffff);
    set(field + 4U, 4, address >> 32);
  }

  CommonConfig config_{{.features = kOffered, .queues = 2, .queue_size = 256, .vectors = 3}};
};

// 4.1.4.3.1
TEST_F(CommonConfigTest, PowerOnState) {
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(get(virtio::kQueueCount, 2), 2U);
  EXPECT_EQ(get(virtio::kConfigVector, 2), virtio::kNoVector);
  EXPECT_EQ(get(virtio::kConfigGeneration, 1), 0U);
  EXPECT_EQ(get(virtio::kQueueSize, 2), 256U);
  EXPECT_EQ(get(virtio::kQueueVector, 2), virtio::kNoVector);
  EXPECT_EQ(get(virtio::kQueueEnable, 2), 0U);
}

// "it will present 0 for any device_feature_select other than 0 or 1"
TEST_F(CommonConfigTest, FeaturesInTwoWords) {
  EXPECT_EQ(get(virtio::kDeviceFeature, 4), kOffered & 0xffffffff);
  set(virtio::kDeviceFeatureSelect, 4, 1);
  EXPECT_EQ(get(virtio::kDeviceFeature, 4), kOffered >> 32);
  for (const std::uint32_t select : {2U, 3U, 32U, 0xffffffffU}) {
    set(virtio::kDeviceFeatureSelect, 4, select);
    EXPECT_EQ(get(virtio::kDeviceFeature, 4), 0U);
    set(virtio::kDriverFeatureSelect, 4, select);
    set(virtio::kDriverFeature, 4, 0xffffffff);
    EXPECT_EQ(get(virtio::kDriverFeature, 4), 0U);
  }
  EXPECT_EQ(config_.features(), 0U);
}

// 3.1.1: the order in which a driver comes up.
TEST_F(CommonConfigTest, ADriverComesUp) {
  EXPECT_EQ(set_status(kStatusAcknowledge), Effect::kNone);
  EXPECT_EQ(set_status(kStatusAcknowledge | kStatusDriver), Effect::kNone);
  accept(kOffered);
  set_status(kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk);
  EXPECT_EQ(status(), 0x0bU);
  EXPECT_FALSE(config_.driver_ok());
  EXPECT_EQ(set_status(0x0f), Effect::kRunning);
  EXPECT_TRUE(config_.driver_ok());
  EXPECT_EQ(config_.features(), kOffered);
  EXPECT_EQ(set_status(0x0f), Effect::kNone);  // again: it runs already
}

// 2.2.2: FEATURES_OK stays away for a subset that the device does not support.
TEST_F(CommonConfigTest, FeaturesThatWereNotOfferedAreRefused) {
  accept(kOffered | 0x40);
  set_status(0x0b);
  EXPECT_EQ(status(), 0x03U);
  accept(kOffered);
  set_status(0x0b);
  EXPECT_EQ(status(), 0x0bU);
}

// 6.2: a device may refuse a driver without VIRTIO_F_VERSION_1; ours has no legacy interface.
TEST_F(CommonConfigTest, ALegacyDriverIsRefused) {
  accept(virtio::kFeatureIndirect);
  set_status(0x0b);
  EXPECT_EQ(status(), 0x03U);
}

TEST_F(CommonConfigTest, FeaturesAreFinalAfterFeaturesOk) {
  accept(kOffered);
  set_status(0x0b);
  accept(virtio::kFeatureVersion1);
  EXPECT_EQ(config_.features(), kOffered);
}

TEST_F(CommonConfigTest, DriverOkNeedsFeaturesOk) {
  EXPECT_EQ(set_status(kStatusAcknowledge | kStatusDriver | kStatusDriverOk), Effect::kNone);
  EXPECT_FALSE(config_.driver_ok());
}

// 2.1.1: bits are never cleared but by a reset; DEVICE_NEEDS_RESET is the device's.
TEST_F(CommonConfigTest, StatusBitsOnlyCome) {
  set_status(kStatusAcknowledge | kStatusDriver);
  set_status(virtio::kStatusFailed);
  EXPECT_EQ(status(), 0x83U);
  set_status(0x74);
  EXPECT_EQ(status(), 0x83U);
}

TEST_F(CommonConfigTest, StatusZeroAsksForAResetThatForgetsEverything) {
  accept(kOffered);
  set_status(0x0b);
  set(virtio::kQueueSelect, 2, 1);
  set(virtio::kQueueSize, 2, 16);
  set(virtio::kQueueVector, 2, 1);
  set_address(virtio::kQueueDescriptors, 0x123456000);
  set(virtio::kQueueEnable, 2, 1);
  EXPECT_EQ(set_status(0), Effect::kReset);
  config_.reset();
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(get(virtio::kQueueSelect, 2), 0U);
  set(virtio::kQueueSelect, 2, 1);
  EXPECT_EQ(get(virtio::kQueueSize, 2), 256U);
  EXPECT_EQ(get(virtio::kQueueVector, 2), virtio::kNoVector);
  EXPECT_EQ(get(virtio::kQueueEnable, 2), 0U);
  EXPECT_EQ(get(virtio::kQueueDescriptors, 4), 0U);
  EXPECT_EQ(config_.features(), 0U);
}

TEST_F(CommonConfigTest, QueueAddressesInHalves) {
  set(virtio::kQueueSelect, 2, 1);
  set_address(virtio::kQueueDescriptors, 0x1'2345'6000);
  set_address(virtio::kQueueDriver, 0x2'0000'0002);
  set_address(virtio::kQueueDevice, 0x3'0000'0004);
  set(virtio::kQueueSize, 2, 64);
  EXPECT_EQ(get(virtio::kQueueDescriptors + 4, 4), 1U);
  EXPECT_FALSE(config_.queue_setup(1));
  EXPECT_EQ(set(virtio::kQueueEnable, 2, 1), Effect::kRunning);
  const auto setup = config_.queue_setup(1);
  ASSERT_TRUE(setup);
  EXPECT_EQ(setup->size, 64U);
  EXPECT_EQ(setup->descriptors, GuestAddress(0x1'2345'6000));
  EXPECT_EQ(setup->available, GuestAddress(0x2'0000'0002));
  EXPECT_EQ(setup->used, GuestAddress(0x3'0000'0004));
  EXPECT_FALSE(config_.queue_setup(0));
}

// 4.1.4.3.2: a queue is configured before it is enabled, and never disabled.
TEST_F(CommonConfigTest, AnEnabledQueueIsFinal) {
  EXPECT_EQ(set(virtio::kQueueEnable, 2, 2), Effect::kNone);
  set(virtio::kQueueEnable, 2, 1);
  set(virtio::kQueueSize, 2, 8);
  set_address(virtio::kQueueDescriptors, 0x5000);
  EXPECT_EQ(set(virtio::kQueueEnable, 2, 0), Effect::kNone);
  EXPECT_EQ(get(virtio::kQueueEnable, 2), 1U);
  EXPECT_EQ(get(virtio::kQueueSize, 2), 256U);
  EXPECT_EQ(get(virtio::kQueueDescriptors, 4), 0U);
}

TEST_F(CommonConfigTest, QueueSizesThatCannotBeAreIgnored) {
  for (const unsigned size : {0U, 3U, 257U, 512U, 0xffffU}) {
    set(virtio::kQueueSize, 2, size);
    EXPECT_EQ(get(virtio::kQueueSize, 2), 256U);
  }
}

// "The device MUST present a 0 in queue_size if the virtqueue … is unavailable."
TEST_F(CommonConfigTest, QueuesThatDoNotExist) {
  for (const unsigned queue : {2U, 3U, 0xffffU}) {
    set(virtio::kQueueSelect, 2, queue);
    EXPECT_EQ(get(virtio::kQueueSize, 2), 0U);
    EXPECT_EQ(set(virtio::kQueueEnable, 2, 1), Effect::kNone);
    EXPECT_EQ(get(virtio::kQueueEnable, 2), 0U);
    EXPECT_EQ(set(virtio::kQueueVector, 2, 1), Effect::kNone);
    EXPECT_EQ(get(virtio::kQueueVector, 2), virtio::kNoVector);
  }
}

// 4.1.5.1.2.1: a mapping that fails reads as NO_VECTOR.
TEST_F(CommonConfigTest, Vectors) {
  EXPECT_EQ(set(virtio::kConfigVector, 2, 2), Effect::kVectors);
  EXPECT_EQ(get(virtio::kConfigVector, 2), 2U);
  set(virtio::kConfigVector, 2, 3);
  EXPECT_EQ(get(virtio::kConfigVector, 2), virtio::kNoVector);
  EXPECT_EQ(set(virtio::kQueueVector, 2, 1), Effect::kVectors);
  EXPECT_EQ(config_.queue_vector(0), 1U);
  set(virtio::kQueueVector, 2, virtio::kNoVector);
  EXPECT_EQ(config_.queue_vector(0), virtio::kNoVector);
}

TEST_F(CommonConfigTest, QueueNotifyOffsetIsTheQueue) {
  set(virtio::kQueueSelect, 2, 1);
  EXPECT_EQ(get(virtio::kQueueNotifyOffset, 2), 1U);
}

TEST_F(CommonConfigTest, ReadOnlyFieldsDoNotChange) {
  set(virtio::kDeviceFeature, 4, 0);
  set(virtio::kQueueCount, 2, 9);
  set(virtio::kConfigGeneration, 1, 9);
  set(virtio::kQueueNotifyOffset, 2, 9);
  EXPECT_EQ(get(virtio::kDeviceFeature, 4), kOffered & 0xffffffff);
  EXPECT_EQ(get(virtio::kQueueCount, 2), 2U);
  EXPECT_EQ(get(virtio::kConfigGeneration, 1), 0U);
  EXPECT_EQ(get(virtio::kQueueNotifyOffset, 2), 0U);
}

// 4.1.3.1: fields are accessed with their natural width; nothing else is answered.
TEST_F(CommonConfigTest, OtherAccessesAreRefused) {
  std::array<std::byte, 8> bytes{};
  unsigned answered = 0;
  for (std::uint64_t offset = 0; offset < 0x80; ++offset) {
    for (const std::size_t size : {1U, 2U, 4U, 8U}) {
      answered += config_.read(offset, std::span(bytes).first(size)) == IoStatus::kOk ? 1U : 0U;
    }
  }
  EXPECT_EQ(answered, 19U);  // the fields there are
  EXPECT_EQ(config_.write(virtio::kDeviceStatus, std::span(bytes).first(4)).status,
            IoStatus::kInvalidSize);
  EXPECT_EQ(config_.write(virtio::kQueueSize + 1, std::span(bytes).first(1)).status,
            IoStatus::kUnaligned);
  EXPECT_EQ(config_.write(virtio::kCommonSize, std::span(bytes).first(4)).status,
            IoStatus::kInvalidRegister);
}

}  // namespace
}  // namespace gpuvm::common_config_test
