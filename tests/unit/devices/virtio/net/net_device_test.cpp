// SPDX-License-Identifier: Apache-2.0
// NetDevice behind a tap that is one end of a socket pair (SOCK_SEQPACKET keeps frames as a tap
// does). Section numbers are those of VIRTIO 1.2.
#include "devices/virtio/net/net_device.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "devices/virtio/net/stream_link.hpp"
#include "devices/virtio/net/tap_link.hpp"
#include "tests/unit/devices/virtio/net/net_driver.hpp"

namespace gpuvm::net_device_test {
namespace {

using test::make_frame;
using test::NetDriver;
using test::without_header;
using Bytes = std::vector<std::byte>;

struct Pair {
  explicit Pair(int type) {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()), 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
    const timeval patience{.tv_sec = test::kPatienceMs / 1000, .tv_usec = 0};
    ::setsockopt(theirs.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  UniqueFd ours;
  UniqueFd theirs;
};

/// A guest with a network card on a tap.
class NetDeviceTest : public ::testing::Test {
 protected:
  NetDeviceTest()
      : pair_(SOCK_SEQPACKET | SOCK_NONBLOCK),
        theirs_(pair_.theirs.get()),
        link_({.fd = std::move(pair_.ours), .name = "tap0", .offloads = false}),
        device_({.name = "net-0",
                 .mac = MacAddress{{2, 0, 0, 0, 0, 1}},
                 .mtu = 1400,
                 .link = link_,
                 .on_link_lost =
                     [this](const Error&) {
                       ++lost_;
                       driver_.tell();
                     }}),
        driver_(device_) {}

  void write(const Bytes& frame) const {
    ASSERT_EQ(::send(theirs_, frame.data(), frame.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(frame.size()));
  }
  Bytes read() const {
    pollfd event{.fd = theirs_, .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&event, 1, test::kPatienceMs), 1);
    Bytes frame(100000);
    const auto got = ::recv(theirs_, frame.data(), frame.size(), 0);
    frame.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return frame;
  }
  std::string shown(const char* key) const {
    InspectNode node;
    device_.inspect(node);
    return std::string(node.get(key));
  }
  unsigned status() {
    std::array<std::byte, 2> bytes{};
    device_.config().read(virtio_net::kStatus, bytes);
    return static_cast<unsigned>(load_le(bytes));
  }

  Pair pair_;
  const int theirs_;
  TapLink link_;
  std::atomic<unsigned> lost_{0};
  NetDevice device_;
  NetDriver driver_;
};

// 5.1.4: the address, the link, the MTU; 5.1.3: what is offered without offloads.
TEST_F(NetDeviceTest, ItsConfiguration) {
  std::array<std::byte, virtio_net::kConfigSize> bytes{};
  device_.config().read(0, bytes);
  const std::array<std::byte, virtio_net::kConfigSize> expected{
      std::byte{2},    {},          {}, {}, {}, std::byte{1}, std::byte{1}, {}, std::byte{1}, {},
      std::byte{0x78}, std::byte{5}};
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(device_.identity().features, virtio_net::kFeatureMac | virtio_net::kFeatureMtu |
                                             virtio_net::kFeatureStatus |
                                             virtio_net::kFeatureMergeable);
  EXPECT_EQ(device_.identity().type, 1);
  EXPECT_EQ(device_.identity().queues, 2);
  EXPECT_EQ(shown("mac"), "02:00:00:00:00:01");
  EXPECT_EQ(shown("tap"), "tap0");
}

TEST_F(NetDeviceTest, FramesGoOutWithTheirHeaders) {
  driver_.start();
  auto frame = make_frame(1000);
  frame[0] = std::byte{1};  // a header is the kernel's to understand
  driver_.send(frame);
  driver_.kick_transmit();
  EXPECT_EQ(read(), frame);
  ASSERT_TRUE(driver_.wait_used(driver_.transmit, 1));
  EXPECT_EQ(driver_.transmit.used(0).length, 0U);
  EXPECT_EQ(shown("sent_frames"), "1");
  EXPECT_EQ(shown("sent_bytes"), "1000");
}

TEST_F(NetDeviceTest, AFrameComesIntoOneBuffer) {
  driver_.start();
  driver_.add_buffers(2, 2048);
  auto frame = make_frame(1500);
  write(frame);
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 1));
  frame[virtio_net::kBufferCount] = std::byte{1};
  EXPECT_EQ(driver_.received(0, 1), frame);
  EXPECT_EQ(shown("received_frames"), "1");
}

// What is there when the driver comes is not lost, and what comes before the driver has buffers.
TEST_F(NetDeviceTest, FramesWaitForTheDriver) {
  write(make_frame(100, 1));
  driver_.start();
  write(make_frame(100, 2));
  driver_.add_buffers(2, 2048);
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 2));
  EXPECT_EQ(without_header(driver_.received(0, 1)), without_header(make_frame(100, 1)));
  EXPECT_EQ(without_header(driver_.received(1, 1)), without_header(make_frame(100, 2)));
}

// 5.1.6.4: all buffers of a frame are used at once, and the header in the first counts them.
TEST_F(NetDeviceTest, ALargeFrameTakesSeveralBuffers) {
  driver_.start();
  driver_.add_buffers(40, 2048);
  auto frame = make_frame(5000);
  write(frame);
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 3));
  frame[virtio_net::kBufferCount] = std::byte{3};
  EXPECT_EQ(driver_.received(0, 3), frame);
  EXPECT_EQ(driver_.receive.used(2).length, 5012U - 4096U);
}

TEST_F(NetDeviceTest, WithoutMergeableBuffersALargeFrameIsLost) {
  driver_.start(~virtio_net::kFeatureMergeable);
  driver_.add_buffers(4, 2048);
  write(make_frame(5000));
  auto frame = make_frame(1000, 9);
  write(frame);
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 1));
  frame[virtio_net::kBufferCount] = std::byte{1};
  EXPECT_EQ(driver_.received(0, 1), frame);
  EXPECT_EQ(shown("received_dropped"), "1");
}

// Frames wait in the tap while the largest would not fit: none is lost for want of a few buffers.
TEST_F(NetDeviceTest, WithFewBuffersLeftFramesWait) {
  driver_.start();
  driver_.add_buffers(80, 2048);  // 160 KiB
  for (unsigned i = 0; i < 6; ++i) {
    write(make_frame(20000, i));
  }
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 50));  // ten each; 60 KiB are left
  EXPECT_EQ(shown("received_frames"), "5");
  driver_.add_buffers(20, 2048);
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 60));
  EXPECT_EQ(without_header(driver_.received(50, 10)), without_header(make_frame(20000, 5)));
  EXPECT_EQ(shown("received_dropped"), "0");
}

// A driver whose whole queue has less room than the largest frame gets those that fit.
TEST_F(NetDeviceTest, ASmallQueueReceivesToo) {
  driver_.start();
  driver_.add_buffers(4, 2048);
  write(make_frame(20000));
  write(make_frame(1000, 2));
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 1));
  EXPECT_EQ(without_header(driver_.received(0, 1)), without_header(make_frame(1000, 2)));
  EXPECT_EQ(shown("received_dropped"), "1");
}

TEST_F(NetDeviceTest, WhatCannotBeAFrameIsLost) {
  driver_.start();
  driver_.send(make_frame(13), 0);
  driver_.send(make_frame(14), 2);
  driver_.kick_transmit();
  EXPECT_EQ(read(), make_frame(14));
  ASSERT_TRUE(driver_.wait_used(driver_.transmit, 2));
  // 70,000 bytes in pieces of one page.
  std::vector<virtio::Descriptor> pieces(18, {.address = NetDriver::kTransmitData, .length = 4000});
  driver_.transmit.chain(4, pieces);
  driver_.transmit.offer(4);
  driver_.kick_transmit();
  ASSERT_TRUE(driver_.wait_used(driver_.transmit, 3));
  EXPECT_EQ(shown("sent_dropped"), "2");
  EXPECT_EQ(shown("sent_frames"), "1");
}

TEST_F(NetDeviceTest, ABufferWithoutRoomForAHeaderBreaksTheDevice) {
  driver_.start();
  driver_.add_buffers(1, virtio_net::kHeaderSize - 1);
  EXPECT_TRUE(driver_.wait_broken());
}

TEST_F(NetDeviceTest, BytesWithoutAHeaderBreakTheDevice) {
  driver_.start();
  driver_.send(Bytes(virtio_net::kHeaderSize - 1));
  driver_.kick_transmit();
  EXPECT_TRUE(driver_.wait_broken());
}

TEST_F(NetDeviceTest, AChainThatIsALoopBreaksTheDeviceAndAStopIsWell) {
  driver_.start();
  driver_.add_buffers(3, 2048);
  driver_.transmit.descriptor(
      0, {.address = NetDriver::kTransmitData, .length = 16, .flags = virtio::kDescriptorNext});
  driver_.transmit.offer(0);
  driver_.kick_transmit();
  EXPECT_TRUE(driver_.wait_broken());
  driver_.stop();
  EXPECT_EQ(driver_.receive.used_index(), 0);
}

TEST_F(NetDeviceTest, ABufferOutsideMemoryBreaksTheDevice) {
  driver_.start();
  driver_.receive.descriptor(
      0, {.address = 1ULL << 40, .length = 2048, .flags = virtio::kDescriptorWrite});
  driver_.receive.offer(0);
  driver_.kick_receive();
  EXPECT_TRUE(driver_.wait_broken());
}

// A pause gives the buffers back, and they come again; frames of the time between wait in the tap.
TEST_F(NetDeviceTest, APauseLosesNothing) {
  driver_.start();
  driver_.add_buffers(8, 2048);
  write(make_frame(100, 1));
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 1));
  driver_.stop();
  write(make_frame(100, 2));
  driver_.start();
  ASSERT_TRUE(driver_.wait_used(driver_.receive, 2));
  EXPECT_EQ(driver_.receive.used(1).id, 1U);
  EXPECT_EQ(without_header(driver_.received(1, 1)), without_header(make_frame(100, 2)));
  EXPECT_EQ(lost_, 0U);
}

// 5.1.4.2: the link is down, the driver is told by a change of the configuration, and who watches
// hears of it once; what is sent afterwards goes nowhere and comes back used.
TEST_F(NetDeviceTest, ALinkThatIsGoneIsDown) {
  std::atomic<unsigned> changes{0};
  device_.config().set_listener([&] { ++changes; });
  driver_.start();
  driver_.add_buffers(2, 2048);
  EXPECT_EQ(status(), 1U);
  pair_.theirs.reset();
  ASSERT_TRUE(driver_.wait([&] { return lost_ == 1; }));
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(changes, 1U);
  EXPECT_EQ(shown("link_up"), "false");
  driver_.send(make_frame(100));
  driver_.kick_transmit();
  ASSERT_TRUE(driver_.wait_used(driver_.transmit, 1));
  EXPECT_EQ(shown("sent_dropped"), "1");
  driver_.stop();
  driver_.start();
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(lost_, 1U);
  driver_.stop();
  device_.config().set_listener({});
}

// Without a buffer to look into the link with.
TEST_F(NetDeviceTest, ALinkThatIsGoneIsNoticedWithoutBuffers) {
  driver_.start();
  pair_.theirs.reset();
  ASSERT_TRUE(driver_.wait([&] { return lost_ == 1; }));
  EXPECT_EQ(status(), 0U);
}

/// Takes frames while the test lets it.
class SlowLink : public NetworkLink {
 public:
  std::uint64_t offloads() const override { return 0; }
  void set_offloads(std::uint64_t) override {}
  int fd() const override { return event_.fd(); }
  Result<Sent> send(std::span<const iovec>) override {
    if (left == 0) {
      return Sent::kFull;
    }
    --left;
    ++frames;
    return Sent::kSent;
  }
  bool has_unsent() const override { return left == 0; }
  Status flush() override { return {}; }
  Result<std::size_t> receive(std::span<std::byte>) override { return std::size_t{0}; }
  void inspect(InspectNode&) const override {}

  unsigned left = 1000000;
  std::atomic<unsigned> frames{0};

 private:
  EventFd event_ = EventFd::create().value();  // always writable
};

// More than the thread serves in a row, in a queue that is full.
TEST(NetDevice, ManyFramesAtOnce) {
  SlowLink link;
  NetDevice device({.name = "net-0", .mac = {}, .mtu = {}, .link = link, .on_link_lost = {}});
  NetDriver driver(device, 512);
  const auto frame = make_frame(60);
  for (unsigned i = 0; i < 512; ++i) {
    driver.send(frame, 0);
  }
  driver.start();
  EXPECT_TRUE(driver.wait_used(driver.transmit, 512));
  EXPECT_EQ(link.frames, 512U);
}

// A stop in the middle of what waits for the link: it comes again.
TEST(NetDevice, FramesThatWaitForTheLinkComeAgainAfterAStop) {
  SlowLink link;
  link.left = 1;
  NetDevice device({.name = "net-0", .mac = {}, .mtu = {}, .link = link, .on_link_lost = {}});
  NetDriver driver(device);
  for (std::uint16_t head = 0; head < 10; head = static_cast<std::uint16_t>(head + 2)) {
    driver.send(make_frame(60), head);
  }
  driver.start();
  ASSERT_TRUE(driver.wait_used(driver.transmit, 1));
  driver.stop();
  EXPECT_EQ(driver.transmit.used_index(), 1);
  link.left = 100;
  driver.start();
  ASSERT_TRUE(driver.wait_used(driver.transmit, 5));
  EXPECT_EQ(link.frames, 5U);
  EXPECT_EQ(driver.transmit.used(4).id, 8U);
}

// passt does not read for a while: the guest's frames wait, none is lost or torn.
TEST(NetDevice, AStreamThatIsFullLosesNothing) {
  Pair pair(SOCK_STREAM);
  const int small = 1;
  ::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  StreamLink link({.socket = std::move(pair.ours), .peer = "passt"});
  NetDevice device({.name = "net-0", .mac = {}, .mtu = {}, .link = link, .on_link_lost = {}});
  NetDriver driver(device);
  constexpr unsigned kFrames = 20;
  Bytes expected;
  for (unsigned i = 0; i < kFrames; ++i) {
    const auto frame = make_frame(3000 + i, i);
    driver.send(frame, static_cast<std::uint16_t>(i * 2));
    const Bytes prefix{std::byte{0}, std::byte{0}, static_cast<std::byte>((3000 + i) >> 8),
                       static_cast<std::byte>(3000 + i)};
    expected.insert(expected.end(), prefix.begin(), prefix.end());
    expected.insert(expected.end(), frame.begin() + virtio_net::kHeaderSize, frame.end());
  }
  driver.start();
  Bytes all(expected.size());
  EXPECT_EQ(::recv(pair.theirs.get(), all.data(), all.size(), MSG_WAITALL),
            static_cast<ssize_t>(all.size()));
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(driver.wait_used(driver.transmit, kFrames));
}

// Two frames at once, then one each 50 ms, in both directions.
TEST(NetDevice, AThrottledCardTakesItsTimeAndLosesNothing) {
  constexpr std::uint16_t kFrames = 6;
  constexpr std::chrono::milliseconds kLeast{150};
  Pair pair(SOCK_SEQPACKET | SOCK_NONBLOCK);
  TapLink link({.fd = std::move(pair.ours), .name = "tap0", .offloads = false});
  NetDevice device({.name = "net-0",
                    .mac = {},
                    .mtu = {},
                    .link = link,
                    .limits = {.requests = 20},
                    .on_link_lost = {}});
  NetDriver driver(device);
  driver.add_buffers(4 * kFrames, 2000);
  for (std::uint16_t i = 0; i < kFrames; ++i) {
    driver.send(make_frame(100), static_cast<std::uint16_t>(i * 2));
    const auto frame = make_frame(100);
    ASSERT_EQ(::send(pair.theirs.get(), frame.data(), frame.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(frame.size()));
  }
  const auto began = std::chrono::steady_clock::now();
  driver.start();
  for (const auto* const ring : {&driver.transmit, &driver.receive}) {
    EXPECT_TRUE(driver.wait_used(*ring, kFrames));
    EXPECT_GE(std::chrono::steady_clock::now() - began, kLeast);
  }
}

}  // namespace
}  // namespace gpuvm::net_device_test
