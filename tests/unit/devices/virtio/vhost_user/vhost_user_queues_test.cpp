// SPDX-License-Identifier: Apache-2.0
// What a server is told when queues start and stop, and what becomes of requests in flight.
#include "devices/virtio/vhost_user/vhost_user_queues.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <future>

#include "tests/unit/devices/virtio/ring_driver.hpp"
#include "tests/unit/devices/virtio/vhost_user/fake_server.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::vhost_user_queues_test {
namespace {

using test::FakeServer;
using test::RingDriver;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using vhost_user::Client;
using vhost_user::Request;

constexpr std::chrono::seconds kLong{30};

struct Listener : QueueListener {
  std::promise<std::string> promise;
  std::future<std::string> broken = promise.get_future();
  void queue_used(std::size_t) override {}
  void queues_broken(const Error& error) override { promise.set_value(error.to_string()); }
};

struct Fixture {
  FakeServer server;
  GuestMemory memory = GuestMemory::create({.size = 2_MiB, .is_shared = true}).value();
  RingDriver driver{memory};
  EventFd kick = EventFd::create().value();
  EventFd call = EventFd::create().value();
  Listener listener;
  std::unique_ptr<Client> client;
  std::unique_ptr<VhostUserQueues> queues;

  void connect(std::chrono::milliseconds patience = kLong, bool waits = true) {
    client = Client::create(server.start(), {.name = "server"}).value();
    queues = std::make_unique<VhostUserQueues>(VhostUserQueues::Options{
        .client = *client, .waits_for_requests = waits, .patience = patience});
  }
  Status start(QueuePosition position = {}) {
    const QueueBackend::Queue queue{.index = 1,
                                    .setup = driver.setup(),
                                    .position = position,
                                    .kick = kick.fd(),
                                    .call = call.fd()};
    return queues->start({.memory = memory,
                          .features = virtio::kFeatureVersion1,
                          .queues = {&queue, 1},
                          .listener = listener});
  }
  /// As a server that has answered what the driver offered.
  void use_all(std::uint16_t index) { driver.put(RingDriver::kUsed + 2, index); }
};

bool same_file(int a, int b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_ino == second.st_ino;
}

TEST(VhostUserQueuesTest, WhatAServerIsTold) {
  Fixture test;
  test.connect();
  EXPECT_TRUE(test.queues->has_call_events());
  EXPECT_EQ(test.queues->features() & virtio::kFeatureEventIndex, 0U);
  ASSERT_TRUE(test.start({.next_available = 7, .next_used = 7}));
  const auto features = test.server.payloads(Request::kSetFeatures);
  ASSERT_EQ(features.size(), 1U);
  EXPECT_EQ(load_le(features[0]), virtio::kFeatureVersion1 | vhost_user::kFeatureProtocolFeatures);
  const auto memory = test.server.payloads(Request::kSetMemTable);
  ASSERT_EQ(memory.size(), 1U);
  ASSERT_EQ(memory[0].size(), 8U + 32U);
  const auto region = load_at<vhost_user::MemoryRegion>(memory[0], 8).value();
  EXPECT_EQ(region.guest_address, 0U);
  EXPECT_EQ(region.user_address, 0U);  // nothing of where this process has it
  EXPECT_EQ(region.size, 2_MiB);
  EXPECT_TRUE(same_file(test.server.last_fd(Request::kSetMemTable), test.memory.fd()));
  const auto state = [&](Request request) {
    return load_at<vhost_user::VringState>(test.server.payloads(request).at(0), 0).value();
  };
  EXPECT_EQ(state(Request::kSetVringNum).index, 1U);
  EXPECT_EQ(state(Request::kSetVringNum).number, 8U);
  EXPECT_EQ(state(Request::kSetVringBase).number, 7U);
  EXPECT_EQ(state(Request::kSetVringEnable).number, 1U);
  const auto address =
      load_at<vhost_user::VringAddress>(test.server.payloads(Request::kSetVringAddr).at(0), 0)
          .value();
  EXPECT_EQ(address.descriptors, RingDriver::kDescriptors);
  EXPECT_EQ(address.available, RingDriver::kAvailable);
  EXPECT_EQ(address.used, RingDriver::kUsed);
  EXPECT_THAT(test.server.fd_counts(Request::kSetVringKick), ElementsAre(1U));
  EXPECT_THAT(test.server.fd_counts(Request::kSetVringCall), ElementsAre(1U));
  EXPECT_TRUE(test.kick.drain());  // a first look
  EXPECT_THAT(test.queues->stop(), ElementsAre(QueuePosition{.next_available = 0, .next_used = 0}));
}

// A call event may change while the server runs: MSI-X vectors.
TEST(VhostUserQueuesTest, AnotherCallEvent) {
  Fixture test;
  test.connect();
  ASSERT_TRUE(test.start());
  const auto other = EventFd::create().value();
  test.queues->set_call(1, other.fd());
  EXPECT_THAT(test.server.fd_counts(Request::kSetVringCall), ElementsAre(1U, 1U));
  other.signal();
  std::uint64_t count = 0;
  EXPECT_EQ(::read(test.server.last_fd(Request::kSetVringCall), &count, sizeof count), 8);
  EXPECT_EQ(count, 1U);
  test.queues->stop();
}

// GET_VRING_BASE is not asked for before what the driver has offered is answered.
TEST(VhostUserQueuesTest, AStopWaitsForRequestsInFlight) {
  Fixture test;
  test.server.on(Request::kGetVringBase, [&](FakeServer& self, FakeServer::Received& message) {
    EXPECT_EQ(test.driver.used_index(), 1U);
    const vhost_user::VringState base{.index = 1, .number = 1};
    self.answer(message, vhost_user::bytes_of(base));
  });
  test.connect();
  ASSERT_TRUE(test.start());
  test.kick.drain();
  test.driver.offer(0);  // and does not ring
  auto positions = std::async(std::launch::async, [&] { return test.queues->stop(); });
  while (!test.kick.drain()) {  // the stop rings for it
    std::this_thread::yield();
  }
  EXPECT_EQ(positions.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  test.use_all(1);
  EXPECT_THAT(positions.get(), ElementsAre(QueuePosition{.next_available = 1, .next_used = 1}));
  EXPECT_FALSE(test.client->is_lost());
}

TEST(VhostUserQueuesTest, ARequestThatIsNeverDoneLosesTheServer) {
  Fixture test;
  test.connect(std::chrono::milliseconds(50));
  ASSERT_TRUE(test.start());
  test.driver.offer(0);
  EXPECT_EQ(test.queues->stop().size(), 1U);
  EXPECT_TRUE(test.client->is_lost());
  ASSERT_EQ(test.listener.broken.wait_for(kLong), std::future_status::ready);
  EXPECT_THAT(test.listener.broken.get(),
              HasSubstr("requests in queue 1 are not done after 50 ms: its storage hangs, or"));
}

// One patience for all: whoever stops several devices expects it of each first.
TEST(VhostUserQueuesTest, PatienceBeginsWhenAStopIsExpected) {
  constexpr std::chrono::milliseconds kPatience{2000};
  Fixture test;
  test.connect(kPatience);
  ASSERT_TRUE(test.start());
  test.kick.drain();
  test.driver.offer(0);
  test.queues->expect_stop();
  EXPECT_TRUE(test.kick.drain()) << "the server works meanwhile";
  std::this_thread::sleep_for(kPatience);
  const auto before = std::chrono::steady_clock::now();
  test.queues->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience);
  EXPECT_TRUE(test.client->is_lost());
}

// Each stop has its own.
TEST(VhostUserQueuesTest, ANewStopHasNewPatience) {
  Fixture test;
  test.connect(std::chrono::milliseconds(2000));
  ASSERT_TRUE(test.start());
  test.queues->expect_stop();
  test.queues->stop();
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  ASSERT_TRUE(test.start());
  test.driver.offer(0);
  auto positions = std::async(std::launch::async, [&] { return test.queues->stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  test.use_all(1);
  positions.get();
  EXPECT_FALSE(test.client->is_lost());
}

// More requests than the queue has entries, or fewer than were answered: a guest writes what it
// likes. It is neither waited for nor the server's fault.
TEST(VhostUserQueuesTest, IndicesThatCannotBeAreTheGuestsFault) {
  const std::pair<std::uint16_t, std::uint16_t> impossible[] = {
      {1000, 0}, {9, 0}, {0, 1}, {5, 6}, {0x8000, 0}, {3, 0xfff0}};
  for (const auto& [available, used] : impossible) {
    Fixture test;
    test.connect();
    ASSERT_TRUE(test.start());
    test.driver.set_index(available);
    test.use_all(used);
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(test.queues->stop().size(), 1U);
    EXPECT_LT(std::chrono::steady_clock::now() - before, kLong / 2);
    EXPECT_FALSE(test.client->is_lost()) << available << ", " << used;
  }
}

// A driver that never stops asking does not hold up the reset of its own device.
TEST(VhostUserQueuesTest, WhatComesDuringAStopIsNotWaitedFor) {
  Fixture test;
  test.connect();
  ASSERT_TRUE(test.start());
  test.kick.drain();
  test.driver.offer(0);
  auto positions = std::async(std::launch::async, [&] { return test.queues->stop(); });
  while (!test.kick.drain()) {
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it has looked at the queue
  for (std::uint16_t i = 2; i < 6; ++i) {
    test.driver.offer(0);
    test.use_all(static_cast<std::uint16_t>(i - 1));
  }
  EXPECT_EQ(positions.wait_for(kLong / 2), std::future_status::ready);
  EXPECT_FALSE(test.client->is_lost());
}

TEST(VhostUserQueuesTest, BuffersThatLieThereAreNotWaitedFor) {
  Fixture test;
  test.connect(kLong, false);
  ASSERT_TRUE(test.start());
  test.driver.offer(0);
  EXPECT_EQ(test.queues->stop().size(), 1U);
  EXPECT_FALSE(test.client->is_lost());
}

TEST(VhostUserQueuesTest, AServerThatDiesBreaksTheQueuesAndHangsNoStop) {
  Fixture test;
  test.connect();
  ASSERT_TRUE(test.start());
  test.driver.offer(0);
  test.server.hang_up();
  ASSERT_EQ(test.listener.broken.wait_for(kLong), std::future_status::ready);
  EXPECT_THAT(test.listener.broken.get(), HasSubstr("it closed the connection"));
  EXPECT_EQ(test.queues->stop().size(), 1U);
  const auto again = test.start();
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().to_string(), HasSubstr("does not serve any more"));
}

TEST(VhostUserQueuesTest, APositionThatCannotBeIsALoss) {
  for (const auto& bad : {vhost_user::VringState{.index = 1, .number = 0x10000},
                          vhost_user::VringState{.index = 0, .number = 0}}) {
    Fixture test;
    test.server.on(Request::kGetVringBase, [bad](FakeServer& self, FakeServer::Received& message) {
      self.answer(message, vhost_user::bytes_of(bad));
    });
    test.connect();
    ASSERT_TRUE(test.start());
    EXPECT_THAT(test.queues->stop(),
                ElementsAre(QueuePosition{.next_available = 0, .next_used = 0}));
    EXPECT_TRUE(test.client->is_lost());
  }
}

TEST(VhostUserQueuesTest, AQueueThatCannotBeReachesNoServer) {
  Fixture test;
  test.connect();
  test.driver.setup().used = GuestAddress(std::uint64_t{1} << 40);
  const auto started = test.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::kGuest);
  EXPECT_THAT(test.server.payloads(Request::kSetVringAddr), ElementsAre());
}

TEST(VhostUserQueuesTest, ARefusalEndsAStart) {
  Fixture test;
  test.server.on(Request::kSetMemTable, [](FakeServer& self, FakeServer::Received& message) {
    self.acknowledge(message, 1);
  });
  test.connect();
  const auto started = test.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().to_string(), "server refused SET_MEM_TABLE");
}

}  // namespace
}  // namespace gpuvm::vhost_user_queues_test
