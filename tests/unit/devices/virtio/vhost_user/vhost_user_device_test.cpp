// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vhost_user/vhost_user_device.hpp"

#include <gmock/gmock.h>

#include <array>
#include <future>

#include "tests/unit/devices/virtio/vhost_user/fake_server.hpp"

namespace gpuvm::vhost_user_device_test {
namespace {

using test::FakeServer;
using ::testing::HasSubstr;
using vhost_user::Client;

constexpr std::chrono::seconds kLong{30};

VhostUserDevice::Options options(Client& client, std::uint16_t queues = 1) {
  return {.name = "disk-0",
          .identity = {.type = 2,
                       .class_code = 0x018000,
                       .queues = queues,
                       .queue_size = 128,
                       .config_size = 8},
          .client = client,
          .config_from_server = true};
}

std::array<std::byte, 8> config_of(VhostUserDevice& device) {
  std::array<std::byte, 8> bytes{};
  device.config().read(0, bytes);
  return bytes;
}

TEST(VhostUserDeviceTest, TheConfigurationIsTheServers) {
  FakeServer server;
  server.set_config(vhost_user::Bytes(8, std::byte{5}));
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client);
  const auto device = VhostUserDevice::create(options(**client));
  ASSERT_TRUE(device) << device.error().to_string();
  EXPECT_EQ(config_of(**device)[7], std::byte{5});
  const auto generation = (*device)->config().generation();
  std::promise<void> changed;
  (*device)->config().set_listener([&] { changed.set_value(); });
  server.set_config(vhost_user::Bytes(8, std::byte{6}));
  ASSERT_TRUE(server.ask({.request = 2, .flags = 1}));
  ASSERT_EQ(changed.get_future().wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(config_of(**device)[0], std::byte{6});
  EXPECT_NE((*device)->config().generation(), generation);
}

TEST(VhostUserDeviceTest, TooManyQueuesForTheServer) {
  FakeServer server;
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client);
  const auto device = VhostUserDevice::create(options(**client, 5));
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().to_string(), HasSubstr("server serves 4 queues, and disk-0 has 5"));
}

TEST(VhostUserDeviceTest, AServerThatDoesNotTellTheConfiguration) {
  FakeServer server;
  server.protocol_features = 0;
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client);
  const auto device = VhostUserDevice::create(options(**client));
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().to_string(), HasSubstr("does not tell the device's configuration"));
}

}  // namespace
}  // namespace gpuvm::vhost_user_device_test
