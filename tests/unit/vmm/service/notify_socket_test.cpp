// SPDX-License-Identifier: Apache-2.0
// Notifications reach whoever listens, never wait, and go nowhere that sd_notify(3) does not name.
#include "vmm/service/notify_socket.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "tests/unit/vmm/service/notify_receiver.hpp"

namespace gpuvm::notify_socket_test {
namespace {

using testing::HasSubstr;

TEST(NotifySocket, ReachesPathsAndAbstractNames) {
  for (const bool as_path : {true, false}) {
    test::NotifyReceiver manager(as_path);
    const auto socket = NotifySocket::open(manager.address());
    ASSERT_TRUE(socket) << socket.error().to_string();
    EXPECT_TRUE(socket->send("READY=1\nSTATUS=Running"));
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=Running");
  }
}

/// Of an owner's process: a socket without a name.
TEST(NotifySocket, ReachesASocketThatIsOpen) {
  std::array<int, 2> ends{-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const auto socket = NotifySocket::open(fmt::format("fd:{}", theirs.get()));
  ASSERT_TRUE(socket) << socket.error().to_string();
  EXPECT_TRUE(socket->send("READY=1"));
  std::array<char, 16> bytes{};
  ASSERT_EQ(::read(ours.get(), bytes.data(), bytes.size()), 7);
  EXPECT_EQ(std::string(bytes.data(), 7), "READY=1");
  for (const std::string address : {"fd:", "fd:-1", "fd:2x", "fd:999999", "fd:99999999999999"}) {
    const auto none = NotifySocket::open(address);
    ASSERT_FALSE(none) << address;
    EXPECT_THAT(none.error().to_string(), HasSubstr("is no open socket for packets"));
  }
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    std::array<int, 2> others{-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, others.data()), 0);
    const UniqueFd first(others[0]);
    const UniqueFd second(others[1]);
    EXPECT_FALSE(NotifySocket::open(fmt::format("fd:{}", first.get())));
  }
}

TEST(NotifySocket, NobodyListens) {
  std::string address;
  { address = test::NotifyReceiver().address(); }
  const auto socket = NotifySocket::open(address);
  ASSERT_TRUE(socket);
  EXPECT_FALSE(socket->send("READY=1"));
  const auto nowhere = NotifySocket::open("/nowhere/at/all");
  ASSERT_TRUE(nowhere);
  EXPECT_FALSE(nowhere->send("READY=1"));
}

// A manager that hangs must not hang the guest's monitor.
TEST(NotifySocket, NeverWaitsForAManagerThatDoesNotRead) {
  test::NotifyReceiver manager;
  const auto socket = NotifySocket::open(manager.address());
  ASSERT_TRUE(socket);
  bool has_refused = false;
  for (int i = 0; i < 100000 && !has_refused; ++i) {
    has_refused = !socket->send("WATCHDOG=1");
  }
  EXPECT_TRUE(has_refused);
}

TEST(NotifySocket, HostileAddresses) {
  for (const std::string address : {"", "@", "/", "run/notify", "vsock:2:1", "unix:/run/notify"}) {
    const auto socket = NotifySocket::open(address);
    ASSERT_FALSE(socket) << address;
    EXPECT_EQ(socket.error().kind(), ErrorKind::kHost);
    EXPECT_THAT(socket.error().to_string(), HasSubstr("neither an absolute path nor"));
  }
  for (const std::string address : {"/run/../etc/notify", "/..", "/run/.."}) {
    const auto socket = NotifySocket::open(address);
    ASSERT_FALSE(socket) << address;
    EXPECT_THAT(socket.error().to_string(), HasSubstr("leads through \"..\""));
  }
  EXPECT_TRUE(NotifySocket::open("/run/..a/b.."));
}

TEST(NotifySocket, AddressesOfAnyLength) {
  constexpr std::size_t kSpace = 108;  // of sun_path: unix(7)
  EXPECT_TRUE(NotifySocket::open("/" + std::string(kSpace - 2, 'x')));
  EXPECT_TRUE(NotifySocket::open("@" + std::string(kSpace - 1, 'x')));
  for (const std::size_t size : {kSpace, std::size_t{100000}}) {
    const auto path = NotifySocket::open("/" + std::string(size - 1, 'x'));
    ASSERT_FALSE(path);
    EXPECT_THAT(path.error().to_string(), HasSubstr("too long"));
    EXPECT_LT(path.error().to_string().size(), 400U);
    EXPECT_FALSE(NotifySocket::open("@" + std::string(size, 'x')));
  }
}

}  // namespace
}  // namespace gpuvm::notify_socket_test
