// SPDX-License-Identifier: Apache-2.0
// VsockAddress with a kernel of which some addresses are taken; VsockDevice as its driver sees it.
#include "devices/virtio/vsock/vsock_address.hpp"

#include <gtest/gtest.h>

#include <set>

#include "devices/virtio/vsock/vsock_device.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::vsock_address_test {
namespace {

class VsockAddressTest : public ::testing::Test {
 protected:
  Result<VsockAddress> take(std::optional<std::uint32_t> wanted, std::string_view guest) {
    return VsockAddress::take(UniqueFd(), wanted, guest,
                              [this](int, std::uint32_t cid) -> Result<bool> {
                                asked_.insert(cid);
                                if (fails_) {
                                  return fail(ErrorKind::kHost, "no vhost");
                                }
                                return !taken_.contains(cid);
                              });
  }
  std::set<std::uint32_t> taken_;
  std::set<std::uint32_t> asked_;
  bool fails_ = false;
};

TEST_F(VsockAddressTest, TheNameDecides) {
  const auto cid = take({}, "main").value().cid();
  EXPECT_EQ(cid, VsockAddress::preferred("main"));
  EXPECT_EQ(take({}, "main").value().cid(), cid);
  EXPECT_NE(take({}, "other").value().cid(), cid);
  EXPECT_GE(cid, 0x10000U) << "above what people give by hand";
  EXPECT_LT(cid, 0x80000000U);
}

TEST_F(VsockAddressTest, TheNextOneThatIsFree) {
  const auto first = VsockAddress::preferred("main");
  taken_ = {first, first + 1};
  EXPECT_EQ(take({}, "main").value().cid(), first + 2);
}

TEST_F(VsockAddressTest, WhatIsWantedOrAnError) {
  EXPECT_EQ(take(42, "main").value().cid(), 42U);
  taken_ = {42};
  const auto refused = take(42, "main");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(refused.error().to_string().find("vsock.cid = 42 is another guest's"),
            std::string::npos);
  EXPECT_EQ(asked_, (std::set<std::uint32_t>{42}));
}

TEST_F(VsockAddressTest, AHostThatIsFullIsAnErrorAndNoLoop) {
  const auto first = VsockAddress::preferred("main");
  for (std::uint32_t i = 0; i < 5000; ++i) {
    taken_.insert(first + i);
  }
  EXPECT_FALSE(take({}, "main"));
  EXPECT_LE(asked_.size(), 1024U);
}

TEST_F(VsockAddressTest, AKernelThatRefusesIsAnErrorAtOnce) {
  fails_ = true;
  EXPECT_FALSE(take({}, "main"));
  EXPECT_EQ(asked_.size(), 1U);
}

// No vhost at all: what ioctl(2) says of it.
TEST_F(VsockAddressTest, WhatIsNoVhostIsAnError) {
  EXPECT_FALSE(VsockAddress::of_kernel(-1, 42));
}

// VIRTIO 1.2, 5.10.2 to 5.10.4: three queues; 64 bits for the address, of which the upper are 0.
TEST(VsockDeviceTest, Configuration) {
  VsockDevice device("vsock", 0x81234567);
  EXPECT_EQ(device.identity().type, 19);
  EXPECT_EQ(device.identity().queues, 3);
  EXPECT_EQ(device.identity().features, 2U);
  std::array<std::byte, 8> bytes{};
  device.config().read(0, bytes);
  EXPECT_EQ(load_le(bytes), 0x81234567U);
}

}  // namespace
}  // namespace gpuvm::vsock_address_test
