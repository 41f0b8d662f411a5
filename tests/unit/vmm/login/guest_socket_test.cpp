// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a way into a guest, and handing a connection on.
#include "vmm/login/guest_socket.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string_view>

namespace gpuvm::guest_socket_test {
namespace {

using std::chrono::milliseconds;

/// A port of this host at which somebody listens.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), raw, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 1), 0);
    EXPECT_EQ(::getsockname(socket_.get(), raw, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::uint16_t port() const { return port_; }
  UniqueFd accept() const { return UniqueFd(::accept(socket_.get(), nullptr, nullptr)); }

 private:
  UniqueFd socket_;
  std::uint16_t port_ = 0;
};

std::array<UniqueFd, 2> make_sockets() {
  std::array<int, 2> fds{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds.data()), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST(GuestSocket, APortOfThisHost) {
  std::uint16_t port = 0;
  {
    const Listener listener;
    port = listener.port();
    const auto socket = connect_to_port("127.0.0.1", port, milliseconds(5000));
    ASSERT_TRUE(socket) << socket.error().to_string();
    const auto peer = listener.accept();
    EXPECT_EQ(::send(peer.get(), "SSH-2.0-x\r\n", 11, 0), 11);
    EXPECT_TRUE(speaks_ssh(*socket, milliseconds(5000)));
  }
  EXPECT_NE(connect_to_port("127.0.0.1", port, milliseconds(5000))
                .error()
                .to_string()
                .find("Connection refused"),
            std::string::npos);
  EXPECT_FALSE(connect_to_port("nowhere", 22, milliseconds(100)));
}

TEST(GuestSocket, WhoIsNoSshServer) {
  for (const std::string_view said : {"", "HTTP/1.1 400", "SSH", "ssh-2.0"}) {
    auto sockets = make_sockets();
    EXPECT_EQ(::send(sockets[1].get(), said.data(), said.size(), 0),
              static_cast<ssize_t>(said.size()));
    sockets[1].reset();
    EXPECT_FALSE(speaks_ssh(sockets[0], milliseconds(5000))) << said;
  }
  const auto silent = make_sockets();
  EXPECT_FALSE(speaks_ssh(silent[0], milliseconds(10)));
}

TEST(GuestSocket, NoGuestAtThisCid) {
  // 2^31: no guest's here; and where there is no vsock at all, that is an error as well.
  EXPECT_FALSE(connect_to_vsock(0x8000'0000, 22, milliseconds(100)));
}

TEST(GuestSocket, HandsAConnectionOn) {
  const auto channel = make_sockets();
  const auto connection = make_sockets();
  ASSERT_TRUE(pass_descriptor(channel[0].get(), connection[0]));
  char byte = 1;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ASSERT_EQ(::recvmsg(channel[1].get(), &message, 0), 1);
  ASSERT_NE(CMSG_FIRSTHDR(&message), nullptr);
  int got = -1;
  std::memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
  const UniqueFd passed(got);
  EXPECT_EQ(::send(passed.get(), "x", 1, 0), 1);
  EXPECT_EQ(::recv(connection[1].get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
  const UniqueFd no_socket(::dup(0));
  EXPECT_FALSE(pass_descriptor(-1, connection[0]));
}

}  // namespace
}  // namespace gpuvm::guest_socket_test
