// SPDX-License-Identifier: Apache-2.0
// [[net]]: what is read, and what is refused with which words.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::net_test {
namespace {

Result<Config> parse_net(const std::string& keys) {
  return parse_bootable("[[net]]\n" + keys);
}

TEST(Net, BothModes) {
  const auto config = parse_bootable(
      "[[net]]\nforward = ['tcp:2222:22', 'udp:::1/53:5353']\nmtu = 1400\nhost_loopback = true\n"
      "[[net]]\nmode = 'tap'\ntap = 'vm0'\nbridge = 'br0'\nmac = '52:54:00:12:34:5F'\n"
      "[[net]]\nmode = 'tap'\nfd = 3\n");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->nets.size(), 3U);
  const auto& user = config->nets[0];
  EXPECT_EQ(user.mode, NetMode::kUser);
  EXPECT_TRUE(user.host_loopback);
  EXPECT_EQ(user.forward[0], (PortForward{.udp = false, .address = "", .host = 2222, .guest = 22}));
  EXPECT_EQ(user.forward[1],
            (PortForward{.udp = true, .address = "::1", .host = 53, .guest = 5353}));
  EXPECT_EQ(user.mtu, 1400);
  const auto& tap = config->nets[1];
  EXPECT_EQ(tap.mode, NetMode::kTap);
  EXPECT_EQ(tap.tap, "vm0");
  EXPECT_EQ(tap.bridge, "br0");
  EXPECT_EQ(tap.mac->to_string(), "52:54:00:12:34:5f");
  EXPECT_EQ(config->nets[2].fd, 3);
}

TEST(Net, AddressesAreOfOneCard) {
  const std::string rule =
      "net.0.mac must be the address of one card: six bytes in hexadecimal, the first one even, "
      "for "
      "instance \"52:54:00:12:34:56\", not ";
  for (const char* text : {"53:54:00:12:34:56", "00:00:00:00:00:00", "52:54:00:12:34", "52:54:00",
                           "52:54:00:12:34:5g", "5254.0012.3456", "52:54:00-12:34:56", ""}) {
    expect_error(parse_net("mac = '" + std::string(text) + "'"),
                 rule + '"' + text + "\" (guest.toml:3:7)");
  }
}

TEST(Net, NothingTwice) {
  expect_error_contains(
      parse_bootable("[[net]]\nmac = '52:54:00:12:34:56'\n[[net]]\nmac = '52-54-00-12-34-56'"),
      "net.1.mac is that of net.0 already (guest.toml:5:7)");
  // Also the address that the first has by its place.
  const auto derived = MacAddress::of_name("guest", 0).to_string();
  expect_error_contains(parse_bootable("[[net]]\n[[net]]\nmac = '" + derived + "'"),
                        "net.1.mac is that of net.0 already");
  const std::string tap = "[[net]]\nmode = 'tap'\n";
  expect_error_contains(parse_bootable(tap + "tap = 'a'\n" + tap + "tap = 'a'\n"),
                        "net.1.tap is that of net.0 already");
  EXPECT_TRUE(parse_bootable(tap + tap + tap));
  expect_error_contains(parse_bootable(tap + "fd = 4\n" + tap + "fd = 4\n"),
                        "net.1.fd is that of net.0 already");
  expect_error_contains(parse_net("forward = ['tcp:1:2', 'udp:1:2', 'tcp:127.0.0.1/1:3']"),
                        "net.0.forward has TCP port 1 twice");
  expect_error_contains(
      parse_bootable("[[net]]\nforward = ['udp:1:2']\n[[net]]\nforward = ['udp:1:3']"),
      "net.1.forward has UDP port 1, which net.0 has already");
  EXPECT_TRUE(parse_net("forward = ['tcp:127.0.0.1/1:2', 'tcp:127.0.0.2/1:3']"));
}

// A port is taken wherever both listen together, however the addresses are spelt.
TEST(Net, AddressesThatMeet) {
  const auto two = [](const std::string& one, const std::string& other) {
    return parse_net("forward = ['tcp:" + one + "2222:22', 'tcp:" + other + "2222:23']");
  };
  const std::pair<const char*, const char*> rows[] = {
      {"", "127.0.0.1/"},
      {"127.0.0.1/", ""},
      {"::1/", "0:0:0:0:0:0:0:1/"},
      {"fe80::A/", "fe80::a/"},
      {"0.0.0.0/", "127.0.0.1/"},
      {"::/", "127.0.0.1/"},
      {"::/", "::1/"},
      {"::ffff:127.0.0.1/", "127.0.0.1/"},
      {"::/", "0.0.0.0/"},
  };
  for (const auto& [one, other] : rows) {
    expect_error_contains(two(one, other), "net.0.forward has TCP port 2222 twice");
    expect_error_contains(two(other, one), "net.0.forward has TCP port 2222 twice");
  }
  EXPECT_TRUE(two("0.0.0.0/", "::1/"));
  EXPECT_TRUE(two("127.0.0.1/", "::1/"));
}

TEST(Net, Forwards) {
  for (const char* text : {"", "tcp", "tcp:", "tcp:1", "tcp:0:1", "tcp:1:0", "tcp:65536:1",
                           "tcp:1:65536", "tcp:1:2:3", "sctp:1:2", "tcp:-1:2", "tcp:1:2 ",
                           "tcp:/1:2", "tcp:host/1:2", "tcp:1.2.3/1:2", "tcp:127.0.0.1:1:2"}) {
    expect_error_contains(parse_net("forward = ['" + std::string(text) + "']"),
                          "net.0.forward must be a list of \"tcp:HOST_PORT:GUEST_PORT\" or");
  }
}

TEST(Net, InterfaceNames) {
  for (const char* text : {"", "sixteen-letters-", "a b", "a/b", "a:b", ".", "..", "tap%d"}) {
    for (const std::string key : {"tap", "bridge"}) {
      expect_error_contains(parse_net("mode = 'tap'\n" + key + " = '" + text + "'"),
                            "net.0." + key + " must be the name of a network interface");
    }
  }
  EXPECT_TRUE(parse_net("mode = 'tap'\ntap = 'fifteen-letters'"));
}

TEST(Net, KeysOfTheOtherMode) {
  for (const char* text : {"tap = 'a'", "bridge = 'a'", "fd = 3"}) {
    expect_error_contains(parse_net(text), "belongs to mode = \"tap\"");
  }
  expect_error_contains(parse_net("mode = 'tap'\nforward = []"), "belongs to mode = \"user\"");
  expect_error_contains(parse_net("mode = 'tap'\nhost_loopback = false"),
                        "net.0.host_loopback belongs to mode = \"user\"");
  expect_error_contains(parse_net("mode = 'tap'\nfd = 3\ntap = 'a'"), "does not go with fd");
  expect_error_contains(parse_net("mode = 'tap'\nfd = 3\nbridge = 'a'"), "does not go with fd");
}

TEST(Net, Limits) {
  expect_error_contains(parse_net("mode = 'tap'\nfd = 2"), "net.0.fd must be");
  expect_error_contains(parse_net("mtu = 67"), "net.0.mtu must be");
  expect_error_contains(parse_net("mtu = 65536"), "net.0.mtu must be");
  expect_error_contains(parse_net("mtu = 65521"),
                        "net.0.mtu is at most 65520 with mode = \"user\"");
  EXPECT_TRUE(parse_net("mtu = 65520"));
  EXPECT_TRUE(parse_net("mode = 'tap'\nmtu = 65535"));
  expect_error_contains(parse_net("mode = 'bridge'"), "net.0.mode must be");
  EXPECT_EQ(parse_net("mode = 'tap'\nqueues = 8")->nets[0].queues, 8);
  EXPECT_EQ(parse_net("")->nets[0].queues, 1);
  EXPECT_TRUE(parse_net("queues = 1"));
  for (const char* queues : {"0", "9", "-1", "'2'"}) {
    expect_error_contains(parse_net("mode = 'tap'\nqueues = " + std::string(queues)),
                          "net.0.queues must be an integer from 1 to 8");
  }
  expect_error_contains(parse_net("queues = 2"), "net.0.queues belongs to mode = \"tap\"");
  expect_error_contains(parse_net("mode = 'tap'\nfd = 3\nqueues = 2"),
                        "net.0.queues does not go with fd");
  std::string text;
  for (int i = 0; i < 4; ++i) {
    text += "[[net]]\n";
  }
  EXPECT_TRUE(parse_bootable(text));
  expect_error_contains(parse_bootable(text + "[[net]]\nmode = 'user'"),
                        "net.4.mode is in one section too many: at most 4 [[net]] are accepted");
}

}  // namespace
}  // namespace gpuvm::net_test
