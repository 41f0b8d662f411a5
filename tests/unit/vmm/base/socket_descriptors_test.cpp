// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/socket_descriptors.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gpuvm::socket_descriptors_test {
namespace {

/// Both ends of a socket, and messages of one byte.
class SocketDescriptors : public testing::Test {
 protected:
  SocketDescriptors() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
              0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
  }
  template <std::size_t N>
  void send(std::span<const int> fds) {
    DescriptorRoom<N> room;
    msghdr message = header();
    attach_descriptors(message, room, fds);
    EXPECT_EQ(::sendmsg(theirs_.get(), &message, MSG_NOSIGNAL), 1);
  }
  /// msg_flags of the message are in flags_.
  template <std::size_t N>
  std::vector<UniqueFd> receive() {
    DescriptorRoom<N> room;
    msghdr message = header();
    room.offer_to(message);
    EXPECT_EQ(::recvmsg(ours_.get(), &message, MSG_CMSG_CLOEXEC), 1);
    flags_ = message.msg_flags;
    return take_descriptors(message);
  }
  msghdr header() {
    msghdr message{};
    message.msg_iov = &part_;
    message.msg_iovlen = 1;
    return message;
  }
  static ino_t file_of(int fd) {
    struct stat info {};
    EXPECT_EQ(::fstat(fd, &info), 0);
    return info.st_ino;
  }

  UniqueFd ours_;
  UniqueFd theirs_;
  char byte_ = 'x';
  iovec part_{.iov_base = &byte_, .iov_len = 1};
  int flags_ = 0;
};

TEST_F(SocketDescriptors, ArriveInTheirOrderAndAreClosedByExec) {
  const std::array<int, 2> sent{ours_.get(), theirs_.get()};
  send<2>(sent);
  const auto taken = receive<4>();
  ASSERT_EQ(taken.size(), 2U);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(file_of(taken[i].get()), file_of(sent.at(i)));
    EXPECT_NE(::fcntl(taken[i].get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(flags_ & MSG_CTRUNC, 0);
}

TEST_F(SocketDescriptors, NoMoreAreSentThanThereIsRoomFor) {
  send<2>(std::array<int, 3>{ours_.get(), theirs_.get(), ours_.get()});
  EXPECT_EQ(receive<4>().size(), 2U);
}

// The kernel closes what has no room; what has is taken all the same, or it would leak.

TEST_F(SocketDescriptors, OfTooManyThoseWithRoomAreTaken) {
  const int before = UniqueFd(::dup(ours_.get())).get();
  send<8>(std::array<int, 8>{0, 1, 2, 0, 1, 2, 0, 1});
  EXPECT_LE(receive<2>().size(), 2U);
  EXPECT_NE(flags_ & MSG_CTRUNC, 0);
  EXPECT_EQ(UniqueFd(::dup(ours_.get())).get(), before) << "none is left open";
}

TEST_F(SocketDescriptors, NoneComeWithAMessageThatHasNone) {
  EXPECT_EQ(::send(theirs_.get(), "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_TRUE(receive<2>().empty());
}

}  // namespace
}  // namespace gpuvm::socket_descriptors_test
