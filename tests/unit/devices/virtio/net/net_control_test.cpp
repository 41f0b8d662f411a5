// SPDX-License-Identifier: Apache-2.0
// Commands of the control queue, VIRTIO 1.2, 5.1.6.5: the one that there is, and all that hostile
// drivers send in its place.
#include "devices/virtio/net/net_control.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "devices/virtio/net/net_device.hpp"
#include "devices/virtio/net/stream_link.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::net_control_test {
namespace {

using Bytes = std::vector<unsigned char>;

class NetControlTest : public testing::Test {
 protected:
  /// The answer's byte; -1: the chain was refused as a whole.
  int answer(Bytes command, std::size_t room = 1) {
    std::vector<std::byte> written(room, std::byte{0xee});
    DescriptorChain chain;
    chain.readable.append(std::as_writable_bytes(std::span(command)));
    chain.writable.append(written);
    const auto size = control_.execute(chain);
    if (!size) {
      EXPECT_EQ(size.error().kind(), ErrorKind::kGuest);
      return -1;
    }
    EXPECT_EQ(*size, 1U);
    for (std::size_t i = 1; i < room; ++i) {
      EXPECT_EQ(written[i], std::byte{0xee});
    }
    return static_cast<int>(written[0]);
  }

  Status outcome_;
  std::vector<unsigned> asked_;
  NetControl control_{4, [this](std::uint16_t pairs) {
                        asked_.push_back(pairs);
                        return Status(outcome_);
                      }};
};

constexpr int kOk = 0;
constexpr int kError = 1;

// 5.1.6.5.5: class 4, command 0, and the number as 16 bits, from 1 to max_virtqueue_pairs.
TEST_F(NetControlTest, PairsAreUsedFromOneToTheMost) {
  EXPECT_EQ(answer({4, 0, 1, 0}), kOk);
  EXPECT_EQ(answer({4, 0, 4, 0}), kOk);
  EXPECT_EQ(answer({4, 0, 2, 0}, 16), kOk);
  EXPECT_EQ(asked_, (std::vector<unsigned>{1, 4, 2}));
}

TEST_F(NetControlTest, NumbersThatCannotBeAreRefused) {
  for (const Bytes& command : {Bytes{4, 0, 0, 0}, Bytes{4, 0, 5, 0}, Bytes{4, 0, 0, 1},
                               Bytes{4, 0, 0xff, 0xff}, Bytes{4, 0, 0, 0x80}}) {
    EXPECT_EQ(answer(command), kError);
  }
  EXPECT_TRUE(asked_.empty());
}

// Modes of reception, addresses, VLANs, announcements, offloads, hashes: nothing of it was offered.
TEST_F(NetControlTest, WhatWasNotOfferedIsRefused) {
  for (unsigned char kind = 0; kind < 16; ++kind) {
    for (unsigned char command = kind == 4 ? 1 : 0; command < 8; ++command) {
      EXPECT_EQ(answer({kind, command, 1, 0}), kError);
      EXPECT_EQ(answer({kind, command, 1}), kError);
      EXPECT_EQ(answer({kind, command, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}), kError);
    }
  }
  EXPECT_EQ(answer({4, 0, 1}), kError);
  EXPECT_EQ(answer({4, 0, 1, 0, 0}), kError);
  EXPECT_EQ(answer(Bytes(70000, 4)), kError);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(NetControlTest, AHostThatCannotIsToldToTheDriver) {
  outcome_ = fail(ErrorKind::kHost, "no");
  EXPECT_EQ(answer({4, 0, 2, 0}), kError);
  EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(NetControlTest, WhatIsNoCommandBreaksTheQueue) {
  EXPECT_EQ(answer({4, 0, 1, 0}, 0), -1);
  EXPECT_EQ(answer({4}), -1);
  EXPECT_EQ(answer({}), -1);
}

// 5.1.2, 5.1.3.1, 5.1.4: the control queue follows the pairs, and VIRTIO_NET_F_MQ requires it.
TEST(NetDevicePairs, AreOfferedWithTheirQueues) {
  StreamLink link({.socket = UniqueFd(), .peer = "nobody"});
  const auto features_of = [&link](std::uint16_t pairs, std::uint16_t queues) {
    NetDevice device(
        {.name = "net", .mac = {}, .mtu = {}, .link = link, .pairs = pairs, .on_link_lost = {}});
    EXPECT_EQ(device.identity().queues, queues);
    std::array<std::byte, 2> most{};
    device.config().read(virtio_net::kMostPairs, most);
    EXPECT_EQ(load_le(most), pairs);
    return device.identity().features &
           (virtio_net::kFeatureControl | virtio_net::kFeatureMultiQueue);
  };
  EXPECT_EQ(features_of(1, 2), 0U);
  EXPECT_EQ(features_of(2, 5), virtio_net::kFeatureControl | virtio_net::kFeatureMultiQueue);
  EXPECT_EQ(features_of(8, 17), virtio_net::kFeatureControl | virtio_net::kFeatureMultiQueue);
}

}  // namespace
}  // namespace gpuvm::net_control_test
