// SPDX-License-Identifier: Apache-2.0
// StreamLink against a peer that is slow or wrong.
#include "devices/virtio/net/stream_link.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace gpuvm::stream_link_test {
namespace {

using Bytes = std::vector<std::byte>;

class StreamLinkTest : public ::testing::Test {
 protected:
  StreamLinkTest() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    theirs_ = UniqueFd(fds[1]);
    link_.emplace(StreamLink::Options{.socket = UniqueFd(fds[0]), .peer = "passt"});
  }
  void write(const std::vector<unsigned>& bytes) const {
    Bytes raw;
    for (const unsigned byte : bytes) {
      raw.push_back(static_cast<std::byte>(byte));
    }
    EXPECT_EQ(::send(theirs_.get(), raw.data(), raw.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(raw.size()));
  }
  Result<std::size_t> receive() { return link_->receive(frame_); }

  UniqueFd theirs_;
  std::optional<StreamLink> link_;
  Bytes frame_ = Bytes(virtio_net::kMostFrame, std::byte{0xff});
};

// A byte at a time: a frame is there when its last byte is.
TEST_F(StreamLinkTest, FramesComeInAnyPieces) {
  const std::vector<unsigned> bytes{0, 0, 0, 15, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (const unsigned byte : bytes) {
    const auto none = receive();
    ASSERT_TRUE(none) << none.error().to_string();
    EXPECT_EQ(*none, 0U);
    write({byte});
  }
  const auto size = receive();
  ASSERT_TRUE(size) << size.error().to_string();
  ASSERT_EQ(*size, virtio_net::kHeaderSize + 15);
  for (std::size_t i = 0; i < *size; ++i) {
    const auto expected = i < virtio_net::kHeaderSize ? 0 : i - virtio_net::kHeaderSize + 1;
    EXPECT_EQ(frame_[i], static_cast<std::byte>(expected)) << i;
  }
  EXPECT_EQ(receive().value(), 0U);
}

TEST_F(StreamLinkTest, TwoFramesAtOnce) {
  std::vector<unsigned> bytes{0, 0, 0, 14};
  bytes.resize(18, 1);
  const auto first = bytes;
  bytes.insert(bytes.end(), first.begin(), first.end());
  write(bytes);
  EXPECT_EQ(receive().value(), 26U);
  EXPECT_EQ(receive().value(), 26U);
  EXPECT_EQ(receive().value(), 0U);
}

// No frame can be that short or that long: what follows makes no sense any more.
TEST_F(StreamLinkTest, WrongLengthsEndTheLink) {
  for (const std::vector<unsigned>& prefix :
       {std::vector<unsigned>{0, 0, 0, 0}, {0, 0, 0, 13}, {0, 1, 0, 18}, {255, 255, 255, 255}}) {
    std::array<int, 2> fds{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    theirs_ = UniqueFd(fds[1]);
    link_.emplace(StreamLink::Options{.socket = UniqueFd(fds[0]), .peer = "passt"});
    write(prefix);
    const auto got = receive();
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().to_string().find("which cannot be"), std::string::npos);
  }
}

TEST_F(StreamLinkTest, APeerThatLeavesIsAnError) {
  write({0, 0, 0, 14, 1, 2});
  theirs_.reset();
  const auto got = receive();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().to_string(), "passt has closed its socket");
  Bytes frame(100);
  const iovec piece{.iov_base = frame.data(), .iov_len = frame.size()};
  EXPECT_FALSE(link_->send({&piece, 1}));
}

TEST_F(StreamLinkTest, TheHeaderStaysHere) {
  Bytes header(5, std::byte{9});
  Bytes rest(30);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    rest[i] = static_cast<std::byte>(i);
  }
  const std::array<iovec, 2> pieces{{{.iov_base = header.data(), .iov_len = header.size()},
                                     {.iov_base = rest.data(), .iov_len = rest.size()}}};
  EXPECT_EQ(link_->send(pieces).value(), NetworkLink::Sent::kSent);
  EXPECT_FALSE(link_->has_unsent());
  Bytes got(100);
  const auto count = ::recv(theirs_.get(), got.data(), got.size(), 0);
  ASSERT_EQ(count, 4 + 35 - 12);
  EXPECT_EQ(got[3], std::byte{23});
  EXPECT_EQ(got[4], std::byte{7});  // the header's other seven bytes were in the second piece
}

// passt ends its connection at the first frame of less than 14 or more than 65535 bytes.
TEST_F(StreamLinkTest, FramesThatWouldEndThePeerAreLost) {
  Bytes frame(virtio_net::kHeaderSize + 65536);
  for (const std::size_t size : {std::size_t{13}, std::size_t{65536}}) {
    const iovec piece{.iov_base = frame.data(), .iov_len = virtio_net::kHeaderSize + size};
    EXPECT_EQ(link_->send({&piece, 1}).value(), NetworkLink::Sent::kDropped) << size;
    EXPECT_FALSE(link_->has_unsent());
  }
  const iovec longest{.iov_base = frame.data(), .iov_len = virtio_net::kHeaderSize + 65535};
  EXPECT_EQ(link_->send({&longest, 1}).value(), NetworkLink::Sent::kSent);
  std::array<unsigned char, 4> prefix{};
  ASSERT_EQ(::recv(theirs_.get(), prefix.data(), prefix.size(), 0), 4);
  EXPECT_EQ(prefix, (std::array<unsigned char, 4>{0, 0, 255, 255}));
}

}  // namespace
}  // namespace gpuvm::stream_link_test
