// SPDX-License-Identifier: Apache-2.0
// What is said of taps and bridges before anything is made; a made-up sysfs.
#include "vmm/network/tap.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::tap_test {
namespace {

using ::testing::HasSubstr;

class TapTest : public ::testing::Test {
 protected:
  TapTest() {
    host_.file("/dev/net/tun", "");
    host_.directory("/sys/class/net/br0/bridge");
    host_.directory("/sys/class/net/eth0");
    host_.file("/sys/class/net/vm0/tun_flags", "0x5002\n");
    host_.file("/sys/class/net/vm0/flags", "0x1003\n");
    host_.link("/sys/class/net/vm0/master", "../br0");
    host_.file("/sys/class/net/tun0/tun_flags", "0x1001\n");
  }
  std::string error(const TapRequest& request) const {
    const auto status = check_tap(host_, request);
    return status ? "" : status.error().to_string();
  }
  FakeHost host_;
};

TEST_F(TapTest, WhatCanBe) {
  EXPECT_EQ(error({}), "");
  EXPECT_EQ(error({.name = "new0", .bridge = "br0"}), "");
  EXPECT_EQ(error({.name = "vm0"}), "");
  EXPECT_EQ(error({.name = "vm0", .bridge = "br0"}), "");
}

TEST_F(TapTest, BridgesThatAreNone) {
  EXPECT_THAT(
      error({.bridge = "br1"}),
      HasSubstr("bridge = \"br1\": this host has no such bridge; make one (ip link add br1 "));
  EXPECT_THAT(error({.bridge = "eth0"}), HasSubstr("this interface is no bridge"));
  EXPECT_EQ(check_tap(host_, {.bridge = "br1"}).error().kind(), ErrorKind::kConfig);
}

TEST_F(TapTest, TapsThatAreNone) {
  EXPECT_THAT(error({.name = "eth0"}), HasSubstr("tap = \"eth0\": this interface is no tap"));
  EXPECT_THAT(error({.name = "tun0"}), HasSubstr("this interface is no tap"));
}

TEST_F(TapTest, ATapOfAnotherBridge) {
  host_.directory("/sys/class/net/br1/bridge");
  EXPECT_THAT(error({.name = "vm0", .bridge = "br1"}),
              HasSubstr("is there already, and not in the bridge br1: ip link set vm0 master br1"));
}

// Of linux/if_tun.h: IFF_MULTI_QUEUE is 0x100.
TEST_F(TapTest, ATapOfOneQueueHasNotSeveral) {
  EXPECT_THAT(
      error({.name = "vm0", .queues = 4}),
      HasSubstr("has one queue, and queues = 4: make it anew (ip tuntap add dev vm0 mode tap "
                "multi_queue)"));
  host_.file("/sys/class/net/vm0/tun_flags", "0x5102\n");
  EXPECT_EQ(error({.name = "vm0", .queues = 4}), "");
  EXPECT_EQ(error({.name = "new0", .queues = 4}), "");
}

TEST_F(TapTest, AHostWithoutTaps) {
  std::filesystem::remove(host_.path("/dev/net/tun"));
  EXPECT_THAT(error({}), HasSubstr("This host has no /dev/net/tun: modprobe tun"));
}

// What a launcher hands over is looked at.
TEST_F(TapTest, ADescriptorThatIsNoTap) {
  const UniqueFd null(::open("/dev/null", O_RDWR));  // as if inherited
  for (const int fd : {900, null.get()}) {
    const auto tap = open_tap(host_, {.fd = fd});
    ASSERT_FALSE(tap);
    EXPECT_EQ(tap.error().kind(), ErrorKind::kConfig);
    EXPECT_THAT(tap.error().to_string(), HasSubstr("is no tap: start gpuvm with the descriptor"));
  }
}

// Such as the tap of another card, which has an owner.
TEST_F(TapTest, ADescriptorOfOurOwnIsNotTakenOver) {
  const UniqueFd ours(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto tap = open_tap(host_, {.fd = ours.get()});
  ASSERT_FALSE(tap);
  EXPECT_EQ(tap.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(tap.error().to_string(), HasSubstr("is none that gpuvm has inherited"));
  EXPECT_GE(::fcntl(ours.get(), F_GETFD), 0);
}

}  // namespace
}  // namespace gpuvm::tap_test
