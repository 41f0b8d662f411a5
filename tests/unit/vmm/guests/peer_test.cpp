// SPDX-License-Identifier: Apache-2.0
#include "vmm/guests/peer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::peer_test {
namespace {

TEST(Peer, IsWhoConnected) {
  int pair[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  const auto peer = peer_of(one.get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->user, ::geteuid());
  EXPECT_THAT(peer->groups, testing::Contains(::getegid()));
}

TEST(Peer, OfWhatIsNoUnixSocketNobodyKnows) {
  const UniqueFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(peer_of(udp.get()));
  EXPECT_FALSE(peer_of(-1));
}

TEST(Peer, RootTheSameUserAndTheGroupMaySteer) {
  constexpr uid_t kOwn = 1000;
  EXPECT_TRUE(may_steer({.user = 0}, kOwn, std::nullopt));
  EXPECT_TRUE(may_steer({.user = kOwn}, kOwn, std::nullopt));
  EXPECT_FALSE(may_steer({.user = 1001, .groups = {0, kOwn}}, kOwn, std::nullopt))
      << "the group of root or of the user is not asked for";
  EXPECT_TRUE(may_steer({.user = 1001, .groups = {100, 200}}, kOwn, gid_t{200}));
  EXPECT_FALSE(may_steer({.user = 1001, .groups = {100}}, kOwn, gid_t{200}));
  EXPECT_FALSE(may_steer({.user = 1001}, 0, std::nullopt));
}

TEST(Peer, AGroupHasANumber) {
  const auto root = group_id("root");
  ASSERT_TRUE(root);
  EXPECT_EQ(*root, 0U);
  EXPECT_FALSE(group_id("no-such-group-here"));
}

TEST(Peer, ASocketCanBeGivenToAGroupOfOnes) {
  EXPECT_FALSE(group_of_socket("no-such-group-here"));
  const auto root = group_of_socket("root");
  const bool is_member = ::geteuid() == 0 || ::getegid() == 0;
  EXPECT_EQ(root.has_value(), is_member);
}

}  // namespace
}  // namespace gpuvm::peer_test
