// SPDX-License-Identifier: Apache-2.0
// How fast a driver's commands are carried out, and that none is lost or refused for being one too
// many.
#include "devices/virtio/net/control_queue.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include "devices/virtio/net/net_spec.hpp"
#include "tests/unit/devices/virtio/ring_driver.hpp"
#include "vmm/base/event_fd.hpp"

namespace gpuvm::control_queue_test {
namespace {

using std::chrono::milliseconds;
using test::RingDriver;

constexpr std::uint64_t kCommand = 0x8000;
constexpr std::uint64_t kAnswer = 0x9000;
constexpr std::uint16_t kSize = 64;

class ControlQueueTest : public ::testing::Test {
 protected:
  ControlQueueTest() { start({}); }
  void start(const QueuePosition& position) {
    queue_->start(SplitQueue::create(memory_, driver_.setup(), position).value(), call_.fd());
  }
  /// So many commands, of 1 and 2 pairs in turn.
  void flip(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      const auto head = static_cast<std::uint16_t>(offered_++ % (kSize / 2) * 2);
      const std::uint64_t command = kCommand + head * 4U;
      driver_.put(command, std::uint32_t{4U | (1U + i % 2U) << 16});
      driver_.chain(head, {{.address = command, .length = 4},
                           {.address = kAnswer + head, .length = 1, .flags = 2}});
      driver_.offer(head);
    }
  }
  Status serve() {
    return queue_->serve([this] { return stopping_; });
  }
  bool timer_goes_off(int wait_ms) const {
    pollfd timer{.fd = queue_->timer(), .events = POLLIN, .revents = 0};
    return ::poll(&timer, 1, wait_ms) == 1;
  }

  GuestMemory memory_ = test::make_memory();
  RingDriver driver_{memory_, kSize};
  EventFd call_ = EventFd::create().value();
  ControlQueue::Clock::time_point now_{std::chrono::hours(1)};
  std::vector<unsigned> used_;
  unsigned offered_ = 0;
  bool stopping_ = false;
  std::unique_ptr<ControlQueue> queue_ = ControlQueue::create({.most_pairs = 2,
                                                               .use_pairs =
                                                                   [this](std::uint16_t pairs) {
                                                                     used_.push_back(pairs);
                                                                     return Status();
                                                                   },
                                                               .now = [this] { return now_; }})
                                             .value();
};

// Each command may hold a lock of the host's whole network.
TEST_F(ControlQueueTest, AFloodIsCarriedOutAtARate) {
  flip(32);
  ASSERT_TRUE(serve());
  const std::size_t burst = used_.size();
  EXPECT_EQ(burst, static_cast<std::size_t>(ControlQueue::kMostAtOnce));
  for (unsigned i = 0; i < 1000; ++i) {  // whoever rings meanwhile gains nothing
    ASSERT_TRUE(serve());
  }
  EXPECT_EQ(used_.size(), burst);
  now_ += std::chrono::seconds(5);
  ASSERT_TRUE(serve());
  EXPECT_LE(used_.size(), burst + 11);
  EXPECT_GE(used_.size(), burst + 9);
}

TEST_F(ControlQueueTest, WhatIsTooMuchWaitsAndIsDone) {
  flip(32);
  for (unsigned i = 0; i < 100 && driver_.used_index() < 32; ++i) {
    ASSERT_TRUE(serve());
    EXPECT_EQ(driver_.used_index(), used_.size()) << "an answer means that it is done";
    now_ += milliseconds(500);
  }
  ASSERT_EQ(driver_.used_index(), 32U);
  for (unsigned i = 0; i < 32; ++i) {
    EXPECT_EQ(used_[i], 1 + i % 2);
    EXPECT_EQ(driver_.get<std::uint8_t>(kAnswer + i * 2U), 0U);
  }
  EXPECT_TRUE(call_.drain());
}

// The driver need not ring for what waits: its time comes by itself.
TEST_F(ControlQueueTest, ATimerWakesForWhatWaits) {
  flip(3);
  ASSERT_TRUE(serve());
  EXPECT_EQ(used_.size(), 3U);
  EXPECT_TRUE(driver_.must_kick());
  EXPECT_FALSE(timer_goes_off(0));
  flip(29);
  ASSERT_TRUE(serve());
  EXPECT_FALSE(driver_.must_kick());
  EXPECT_TRUE(timer_goes_off(20000));
}

// Nor does a reset of the device buy more of them, and a pause keeps what waits.
TEST_F(ControlQueueTest, ANewStartIsNoWayRoundIt) {
  flip(20);
  ASSERT_TRUE(serve());
  const auto position = queue_->stop();
  EXPECT_EQ(position.next_available, used_.size());
  EXPECT_FALSE(queue_->is_started());
  start(position);
  ASSERT_TRUE(serve());
  EXPECT_EQ(used_.size(), static_cast<std::size_t>(ControlQueue::kMostAtOnce));
  now_ += std::chrono::seconds(60);
  ASSERT_TRUE(serve());
  now_ += std::chrono::seconds(60);
  ASSERT_TRUE(serve());
  EXPECT_EQ(used_.size(), 20U);
}

TEST_F(ControlQueueTest, WhoeverStopsItWaitsForOneCommand) {
  stopping_ = true;
  flip(2);
  ASSERT_TRUE(serve());
  EXPECT_TRUE(used_.empty());
}

TEST_F(ControlQueueTest, WhatIsNoCommandIsTheGuestsFault) {
  driver_.chain(0, {{.address = kCommand, .length = 4}});
  driver_.offer(0);
  const auto served = serve();
  ASSERT_FALSE(served);
  EXPECT_EQ(served.error().kind(), ErrorKind::kGuest);
}

}  // namespace
}  // namespace gpuvm::control_queue_test
