// SPDX-License-Identifier: Apache-2.0
// Which of a guest's forwarded ports is its sshd's.
#include "vmm/machine/run/guest_entrance.hpp"

#include <gtest/gtest.h>

namespace gpuvm::guest_entrance_test {
namespace {

NetConfig net(std::vector<PortForward> forward) {
  NetConfig config;
  config.forward = std::move(forward);
  return config;
}

TEST(GuestEntrance, ThePortThatLeadsToSsh) {
  Config config;
  config.name = "g";
  EXPECT_EQ(entrance_of(config, "").port, 0);
  config.nets = {net({{.udp = true, .host = 1, .guest = 22}, {.host = 8080, .guest = 80}}),
                 net({{.host = 2222, .guest = 22}, {.host = 2223, .guest = 22}})};
  const auto record = entrance_of(config, "/k");
  EXPECT_EQ(record.name, "g");
  EXPECT_EQ(record.key, "/k");
  EXPECT_EQ(record.port, 2222);
  EXPECT_EQ(record.address, "127.0.0.1");
}

TEST(GuestEntrance, AddressesToConnectTo) {
  for (const auto& [listens, expected] :
       {std::pair("", "127.0.0.1"), std::pair("0.0.0.0", "127.0.0.1"), std::pair("::", "::1"),
        std::pair("::1", "::1"), std::pair("192.0.2.1", "192.0.2.1")}) {
    Config config;
    config.nets = {net({{.address = listens, .host = 2222, .guest = 22}})};
    EXPECT_EQ(entrance_of(config, "").address, expected);
  }
}

}  // namespace
}  // namespace gpuvm::guest_entrance_test
