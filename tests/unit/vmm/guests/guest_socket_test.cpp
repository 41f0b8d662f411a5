// SPDX-License-Identifier: Apache-2.0
// Control sockets: who has one keeps it, what a dead gpuvm left goes, and nothing else does.
#include "vmm/guests/guest_socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace gpuvm::guest_socket_list_test {
namespace {

constexpr std::chrono::milliseconds kSoon{0};

class GuestSockets : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/gpuvm-sock-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name + ".sock"; }
  bool is_there(const std::string& file) const {
    return std::filesystem::exists(std::filesystem::symlink_status(file));
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                                  std::filesystem::directory_iterator()));
  }
  /// Bound, and with `listens` listening; without a lock.
  static UniqueFd bind_at(const std::string& path, bool listens) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    if (listens) {
      EXPECT_EQ(::listen(fd.get(), 1), 0);
    }
    return fd;
  }
  /// As a gpuvm that was killed: the socket and the lock's file stay, the lock does not.
  void leave_dead(const std::string& name) const {
    bind_at(path(name), true).reset();
    std::ofstream(path(name) + ".lock").flush();
  }

  std::string folder_;
};

TEST_F(GuestSockets, Names) {
  for (const std::string_view name : {"a", "render-1", "a..b", "x_y.z", "0"}) {
    EXPECT_TRUE(is_guest_name(name)) << name;
  }
  for (const std::string_view name :
       {"", "A", "a/b", "a b", "\xc3\xa4", "a\n", ".", "..", ".x", "-x", "_x"}) {
    EXPECT_FALSE(is_guest_name(name)) << name;
  }
  EXPECT_TRUE(is_guest_name(std::string(64, 'x')));
  EXPECT_FALSE(is_guest_name(std::string(65, 'x')));
  EXPECT_FALSE(guest_socket_path("../x"));
}

TEST_F(GuestSockets, AreListedByName) {
  const auto b = bind_at(path("b"), true);
  const auto a = bind_at(path("a"), false);
  const auto wrong = bind_at(path("Not-a-Name"), true);
  std::ofstream(path("file")) << "x";
  std::ofstream(folder_ + "/0000:01:00.0.state") << "x";
  const std::vector<std::string> folders = {folder_ + "/none", folder_};
  EXPECT_EQ(list_guest_sockets(folders),
            (std::vector<GuestSocket>{{"a", path("a")}, {"b", path("b")}}));
}

TEST_F(GuestSockets, AClaimedOneListensAndGoes) {
  {
    auto claim = GuestSocketClaim::take(folder_ + "/new/g.sock");
    ASSERT_TRUE(claim) << claim.error().to_string();
    EXPECT_EQ(connect_to_guest(claim->path(), kSoon).error, ENOENT);
    auto listening = claim->listen();
    ASSERT_TRUE(listening) << listening.error().to_string();
    struct stat found {};
    ASSERT_EQ(::stat(claim->path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0600U);
    const auto connected = connect_to_guest(claim->path(), kSoon);
    ASSERT_TRUE(connected.fd);
    EXPECT_EQ(peer_process(connected.fd), ::getpid());
    EXPECT_FALSE(remove_dead_socket(claim->path()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/new"));
}

TEST_F(GuestSockets, AGroupMayUseOne) {
  auto claim = GuestSocketClaim::take(path("g"));
  ASSERT_TRUE(claim);
  auto listening = claim->listen(::getegid());
  ASSERT_TRUE(listening) << listening.error().to_string();
  struct stat found {};
  ASSERT_EQ(::stat(claim->path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0660U);
  EXPECT_EQ(found.st_gid, ::getegid());
}

TEST_F(GuestSockets, ANameHasOneOwner) {
  auto first = GuestSocketClaim::take(path("g"));
  ASSERT_TRUE(first);
  auto listening = first->listen();
  auto second = GuestSocketClaim::take(path("g"));
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().to_string().find(fmt::format("(pid {})", ::getpid())), std::string::npos)
      << second.error().to_string();
  EXPECT_TRUE(connect_to_guest(path("g"), kSoon).fd);
}

TEST_F(GuestSockets, AMovedClaimIsOne) {
  auto first = GuestSocketClaim::take(path("g"));
  ASSERT_TRUE(first);
  auto listening = first->listen();
  {
    const GuestSocketClaim second(std::move(first).value());
    EXPECT_TRUE(is_there(path("g")));
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(GuestSockets, DeadOnesAreRemoved) {
  leave_dead("g");
  EXPECT_EQ(connect_to_guest(path("g"), kSoon).error, ECONNREFUSED);
  EXPECT_TRUE(remove_dead_socket(path("g")));
  EXPECT_EQ(files(), 0U);
  EXPECT_FALSE(remove_dead_socket(path("g")));
  EXPECT_EQ(files(), 0U) << "nothing is made where there is no socket";
}

TEST_F(GuestSockets, AStartFindsADeadOne) {
  leave_dead("g");
  auto claim = GuestSocketClaim::take(path("g"));
  ASSERT_TRUE(claim) << claim.error().to_string();
  EXPECT_TRUE(claim->listen());
}

TEST_F(GuestSockets, AGuestThatIsStartingIsNotDead) {
  auto claim = GuestSocketClaim::take(path("g"));
  ASSERT_TRUE(claim);
  const auto bound = bind_at(path("g"), false);
  EXPECT_EQ(connect_to_guest(path("g"), kSoon).error, ECONNREFUSED);
  EXPECT_FALSE(remove_dead_socket(path("g")));
  EXPECT_TRUE(is_there(path("g")));
  EXPECT_TRUE(is_there(path("g") + ".lock"));
}

TEST_F(GuestSockets, WhoListensWithoutALockIsNotDead) {
  auto listening = bind_at(path("g"), true);
  EXPECT_FALSE(remove_dead_socket(path("g")));
  EXPECT_FALSE(GuestSocketClaim::take(path("g")));
  EXPECT_TRUE(is_there(path("g")));
}

TEST_F(GuestSockets, AFullQueueIsNotDead) {
  auto listening = bind_at(path("g"), true);
  std::vector<UniqueFd> waiting;
  GuestConnection last;
  while (waiting.size() < 64 && (last = connect_to_guest(path("g"), kSoon)).fd) {
    waiting.push_back(std::move(last.fd));
  }
  EXPECT_EQ(last.error, ETIMEDOUT);
  EXPECT_FALSE(remove_dead_socket(path("g")));
}

TEST_F(GuestSockets, WhatIsNoSocketStays) {
  std::ofstream(path("g")) << "mine";
  auto claim = GuestSocketClaim::take(path("g"));
  ASSERT_FALSE(claim);
  EXPECT_NE(claim.error().to_string().find("no socket"), std::string::npos);
  EXPECT_FALSE(remove_dead_socket(path("g")));
  EXPECT_EQ(files(), 1U);
}

TEST_F(GuestSockets, LinksAreNotFollowed) {
  auto listening = bind_at(folder_ + "/elsewhere", true);
  std::filesystem::create_symlink(folder_ + "/elsewhere", path("g"));
  EXPECT_FALSE(GuestSocketClaim::take(path("g")));
  EXPECT_TRUE(list_guest_sockets(std::vector<std::string>{folder_}).empty());
  EXPECT_TRUE(is_there(path("g")));
}

std::string refused_claim(const std::string& path) {
  const auto claim = GuestSocketClaim::take(path);
  EXPECT_FALSE(claim);
  return claim ? "" : claim.error().to_string();
}

TEST_F(GuestSockets, AFolderThatOthersWriteIsNotUsed) {
  leave_dead("g");
  ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
  EXPECT_NE(refused_claim(path("g")).find("chmod go-w"), std::string::npos);
  EXPECT_FALSE(remove_dead_socket(path("g")));
  EXPECT_FALSE(check_socket_place(path("g")));
  EXPECT_EQ(files(), 2U) << "nothing is made, and nothing removed";
  ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
  EXPECT_TRUE(GuestSocketClaim::take(path("g")));
}

TEST_F(GuestSockets, AFolderOfAnotherUserIsNotUsed) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root gives a folder away";
  }
  ASSERT_EQ(::mkdir((folder_ + "/his").c_str(), 0755), 0);
  ASSERT_EQ(::chown((folder_ + "/his").c_str(), 65534, 65534), 0);
  EXPECT_NE(refused_claim(folder_ + "/his/g.sock").find("another user"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/his"));
  std::filesystem::create_directory_symlink("/etc", folder_ + "/link");
  EXPECT_NE(refused_claim(folder_ + "/link/g.sock").find("symbolic link"), std::string::npos);
}

// Whoever owns the folder above puts another one at the path while a guest starts.
TEST_F(GuestSockets, AFolderThatIsReplacedIsNotTouched) {
  const std::string folder = folder_ + "/run";
  const std::string socket = folder + "/g.sock";
  {
    auto claim = GuestSocketClaim::take(socket);
    ASSERT_TRUE(claim) << claim.error().to_string();
    std::filesystem::rename(folder, folder_ + "/old");
    std::filesystem::create_directory(folder);
    const std::string target = folder_ + "/target";
    std::ofstream(target) << "x";
    ASSERT_EQ(::chmod(target.c_str(), 0644), 0);
    std::filesystem::create_symlink(target, folder_ + "/old/g.sock");
    const auto listening = claim->listen(::getegid());
    EXPECT_FALSE(listening);
    struct stat found {};
    ASSERT_EQ(::stat(target.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0644U) << "a link was followed";
    EXPECT_TRUE(is_there(socket)) << "bound at the path, which is not ours any more";
  }
  EXPECT_TRUE(is_there(socket)) << "what is at the path now is another's";
  EXPECT_FALSE(is_there(folder_ + "/old/g.sock.lock"));
}

TEST_F(GuestSockets, APlaceIsLookedAtBeforeAStart) {
  EXPECT_TRUE(check_socket_place(path("g")));
  EXPECT_TRUE(check_socket_place(folder_ + "/new/g.sock"));
  EXPECT_FALSE(check_socket_place(folder_ + "/no/new/g.sock"));
  EXPECT_EQ(files(), 0U) << "nothing is made";
  EXPECT_FALSE(check_socket_place(folder_ + "/" + std::string(120, 'x')));
  leave_dead("dead");
  EXPECT_TRUE(check_socket_place(path("dead")));
  std::ofstream(path("file")) << "mine";
  EXPECT_FALSE(check_socket_place(path("file")));
  auto claim = GuestSocketClaim::take(path("g"));
  ASSERT_TRUE(claim);
  EXPECT_FALSE(check_socket_place(path("g"))) << "another one is starting with it";
  auto listening = claim->listen();
  const auto taken = check_socket_place(path("g"));
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().to_string().find(fmt::format("(pid {})", ::getpid())), std::string::npos);
}

TEST_F(GuestSockets, PathsTooLong) {
  const std::string longest = folder_ + "/" + std::string(120, 'x') + ".sock";
  EXPECT_FALSE(GuestSocketClaim::take(longest));
  EXPECT_EQ(connect_to_guest(longest, kSoon).error, ENAMETOOLONG);
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace gpuvm::guest_socket_list_test
