// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/owner_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "tests/unit/vmm/owner/noting_owner.hpp"
#include "vmm/owner/owner_server.hpp"

namespace gpuvm::owner_client_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// An owner on a thread, until its monitor hangs up.
class ServedOwner {
 public:
  ServedOwner(Owner& duties, UniqueFd socket)
      : server_(duties, std::move(socket)), thread_([this] { run(); }) {}
  ~ServedOwner() { thread_.join(); }
  ServedOwner(const ServedOwner&) = delete;
  ServedOwner& operator=(const ServedOwner&) = delete;

 private:
  void run() {
    for (auto outcome = OwnerServer::Outcome::kNothing;
         outcome == OwnerServer::Outcome::kNothing || outcome == OwnerServer::Outcome::kServed;
         outcome = server_.serve()) {
      pollfd waits{.fd = server_.fd(), .events = POLLIN, .revents = 0};
      ::poll(&waits, 1, 1000);
    }
  }
  OwnerServer server_;
  std::thread thread_;
};

TEST(OwnerClientTest, AsksForWhatAnOwnerDoes) {
  test::NotingOwner duties;
  duties.refused.emplace("retrain 0000:01:00.1", Error(ErrorKind::kHost, "No port"));
  auto sockets = owner::SocketPair::create().value();
  const ServedOwner owner(duties, std::move(sockets.owner));
  {
    OwnerClient client(std::move(sockets.monitor));
    EXPECT_TRUE(client.hold_function(test::held("0000:01:00.0"), UniqueFd(::dup(2)), UniqueFd()));
    EXPECT_TRUE(
        client.hold_function(test::held("0000:01:00.1"), UniqueFd(::dup(2)), UniqueFd(::dup(2))));
    EXPECT_TRUE(client.hold_state("socket-1.state", UniqueFd(::dup(2))));
    EXPECT_EQ(client.declare_file("/vars", FileUse::kReplace).value(), 0U);
    EXPECT_EQ(client.declare_file("/kernel", FileUse::kRead).value(), 1U);
    EXPECT_TRUE(client.guest_runs());
    EXPECT_TRUE(client.mark_failed(Bdf::parse("0000:01:00.1").value(), "no answer"));
    EXPECT_TRUE(client.check_link(Bdf::parse("0000:01:00.0").value()));
    const auto refused = client.retrain_link(Bdf::parse("0000:01:00.1").value());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kHost);
    EXPECT_EQ(refused.error().message(), "No port");
    EXPECT_TRUE(client.replace_file(0, std::vector<std::byte>(5)));
    EXPECT_TRUE(client.open_file(1));
    const auto strange = client.retrain_link(Bdf::parse("0000:02:00.0").value());
    ASSERT_FALSE(strange);
    EXPECT_THAT(strange.error().message(), HasSubstr("was not handed over"));
  }
  EXPECT_THAT(duties.notes,
              ElementsAre("hold 0000:01:00.0 claim", "hold 0000:01:00.1 claim binding",
                          "state socket-1.state", "declare /vars", "declare /kernel to read",
                          "guest runs", "failed 0000:01:00.1: no answer", "check 0000:01:00.0",
                          "retrain 0000:01:00.1", "replace 100 by 5 bytes", "open 101"));
}

TEST(OwnerClientTest, ManyThreadsAskAtOnce) {
  test::NotingOwner duties;
  auto sockets = owner::SocketPair::create().value();
  const ServedOwner owner(duties, std::move(sockets.owner));
  std::atomic<int> done{0};
  {
    OwnerClient client(std::move(sockets.monitor));
    ASSERT_TRUE(client.hold_function(test::held("0000:01:00.0"), UniqueFd(::dup(2)), UniqueFd()));
    ASSERT_TRUE(client.guest_runs());
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 10; ++j) {
          done += client.check_link(Bdf::parse("0000:01:00.0").value()) ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
  EXPECT_EQ(done, 40);
}

TEST(OwnerClientTest, AnOwnerThatIsGoneOrSilentIsTold) {
  auto sockets = owner::SocketPair::create().value();
  OwnerClient client(std::move(sockets.monitor), std::chrono::milliseconds(50));
  for (int i = 0; i < 2; ++i) {  // it is not asked again: an answer is owed
    const auto silent = client.guest_runs();
    ASSERT_FALSE(silent);
    EXPECT_EQ(silent.error().kind(), ErrorKind::kHost);
  }
  auto others = owner::SocketPair::create().value();
  OwnerClient left(std::move(others.monitor));
  others.owner.reset();
  EXPECT_FALSE(left.guest_runs());
}

TEST(OwnerClientTest, AnAnswerToSomethingElseIsNone) {
  auto sockets = owner::SocketPair::create().value();
  owner::send_packet(sockets.owner.get(), owner::encode(owner::Answer{.number = 77}), {});
  OwnerClient client(std::move(sockets.monitor));
  const auto wrong = client.guest_runs();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind(), ErrorKind::kInternal);
}

}  // namespace
}  // namespace gpuvm::owner_client_test
