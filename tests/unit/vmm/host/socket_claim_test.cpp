// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/socket_claim.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::socket_claim_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class SocketClaimTest : public testing::Test {
 protected:
  SocketClaimTest() : socket_(testing::TempDir() + "gpuvm-socket-" + std::to_string(::getpid())) {
    host_.directory("/run/gpuvm");
    std::ofstream(socket_) << "any file will do";
  }
  ~SocketClaimTest() override {
    std::filesystem::remove(socket_);
    std::filesystem::remove(socket_ + ".link");
  }
  FakeHost host_;
  const std::string socket_;
};

TEST_F(SocketClaimTest, SecondOwnerHearsWhoTheFirstIsUnderAnyName) {
  const auto first = SocketClaim::take(host_, socket_, "the guest main");
  ASSERT_TRUE(first);
  std::filesystem::create_symlink(socket_, socket_ + ".link");
  for (const std::string& name : {socket_, socket_ + ".link"}) {
    const auto second = SocketClaim::take(host_, name, "the guest other");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::kHost);
    EXPECT_THAT(second.error().message(), AllOf(HasSubstr(name + " belongs to the guest main"),
                                                HasSubstr("pid " + std::to_string(::getpid()))));
  }
}

TEST_F(SocketClaimTest, NothingIsLeftAndTheNextMayHaveIt) {
  { ASSERT_TRUE(SocketClaim::take(host_, socket_, "the guest main")); }
  EXPECT_THAT(host_.list("/run/gpuvm"), IsEmpty());
  EXPECT_TRUE(SocketClaim::take(host_, socket_, "the guest other"));
}

TEST_F(SocketClaimTest, WhatACrashLeftIsSweptAway) {
  std::ofstream(host_.path("/run/gpuvm/socket-1-2.state"))
      << "owner=the guest killed\npid=1\nend\n";
  std::ofstream(host_.path("/run/gpuvm/0000:01:00.0.state")) << "";
  const auto claim = SocketClaim::take(host_, socket_, "the guest main");
  ASSERT_TRUE(claim);
  EXPECT_EQ(host_.list("/run/gpuvm").size(), 2U);
  EXPECT_TRUE(host_.exists("/run/gpuvm/0000:01:00.0.state"));
}

// gpuvm unbind and the like look through the same folder.
TEST_F(SocketClaimTest, ItIsNoFunctionOfTheHost) {
  const auto claim = SocketClaim::take(host_, socket_, "the guest main");
  ASSERT_TRUE(claim);
  EXPECT_EQ(host_.list("/run/gpuvm").size(), 1U);
  EXPECT_THAT(recorded_devices(host_), IsEmpty());
}

TEST_F(SocketClaimTest, WhatIsNotThereIsNobodys) {
  EXPECT_TRUE(SocketClaim::take(host_, socket_ + ".absent", "the guest main"));
  EXPECT_THAT(host_.list("/run/gpuvm"), IsEmpty());
}

}  // namespace
}  // namespace gpuvm::socket_claim_test
