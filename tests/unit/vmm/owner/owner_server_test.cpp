// SPDX-License-Identifier: Apache-2.0
// The owner's end against monitors of ours and hostile ones.
#include "vmm/owner/owner_server.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstring>

#include "tests/unit/vmm/owner/noting_owner.hpp"

namespace gpuvm::owner_server_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Outcome = OwnerServer::Outcome;

class OwnerServerTest : public testing::Test {
 protected:
  /// What a monitor sends, and what the owner makes of it.
  Outcome send(const owner::Request& request, std::vector<int> fds = {}) {
    return send(owner::encode(++number_, request), std::move(fds));
  }
  Outcome send(const std::vector<std::byte>& bytes, const std::vector<int>& fds = {}) {
    EXPECT_EQ(owner::send_packet(sockets_.monitor.get(), bytes, fds), owner::SendOutcome::kSent);
    return server_.serve();
  }
  owner::Answer answer() {
    owner::Packet packet;
    EXPECT_EQ(owner::receive_packet(sockets_.monitor.get(), packet),
              owner::ReceiveOutcome::kReceived);
    fds_ = std::move(packet.fds);
    return owner::decode_answer(packet.bytes).value();
  }
  void start_guest() {
    owner::HoldFunction hold;
    hold.function = test::held("0000:01:00.0");
    hold.has_claim = true;
    ASSERT_EQ(send(hold, {STDERR_FILENO}), Outcome::kServed);
    ASSERT_EQ(send(owner::DeclareFile{.path = "/vars"}), Outcome::kServed);
    ASSERT_EQ(send(owner::DeclareFile{.path = "/kernel", .use = FileUse::kRead}), Outcome::kServed);
    ASSERT_EQ(send(owner::GuestRuns{}), Outcome::kServed);
    for (int i = 0; i < 4; ++i) {
      answer();
    }
    duties_.notes.clear();
  }

  test::NotingOwner duties_;
  owner::SocketPair sockets_ = owner::SocketPair::create().value();
  OwnerServer::Clock::time_point now_{};
  OwnerServer server_{duties_, std::move(sockets_.owner), [this] { return now_; }, 2};
  std::uint32_t number_ = 0;
  std::vector<UniqueFd> fds_;
};

TEST_F(OwnerServerTest, AsOfOurOwnMonitor) {
  EXPECT_EQ(server_.serve(), Outcome::kNothing);
  owner::HoldFunction hold;
  hold.function = test::held("0000:01:00.0");
  hold.has_claim = true;
  hold.has_binding = true;
  EXPECT_EQ(send(hold, {STDERR_FILENO, STDERR_FILENO}), Outcome::kServed);
  EXPECT_FALSE(answer().error);
  EXPECT_EQ(send(owner::HoldState{.name = "socket-1-2.state"}, {STDERR_FILENO}), Outcome::kServed);
  EXPECT_FALSE(answer().error);
  EXPECT_EQ(send(owner::DeclareFile{.path = "/vars"}), Outcome::kServed);
  EXPECT_EQ(answer().value, 0U);
  EXPECT_EQ(send(owner::DeclareFile{.path = "/kernel", .use = FileUse::kRead}), Outcome::kServed);
  EXPECT_EQ(answer().value, 1U);
  EXPECT_FALSE(server_.has_guest_run());
  EXPECT_EQ(send(owner::GuestRuns{}), Outcome::kServed);
  EXPECT_EQ(answer().number, 5U);
  EXPECT_TRUE(server_.has_guest_run());
  EXPECT_EQ(send(owner::RetrainLink{.function = 0}), Outcome::kServed);
  const std::vector<std::byte> contents(3);
  const auto file = owner::sealed_file(contents).value();
  EXPECT_EQ(send(owner::ReplaceFile{.file = 0}, {file.get()}), Outcome::kServed);
  EXPECT_EQ(send(owner::OpenFile{.file = 1}), Outcome::kServed);
  answer();
  answer();
  answer();
  EXPECT_EQ(fds_.size(), 1U);
  EXPECT_THAT(duties_.notes,
              ElementsAre("hold 0000:01:00.0 claim binding", "state socket-1-2.state",
                          "declare /vars", "declare /kernel to read", "guest runs",
                          "retrain 0000:01:00.0", "replace 100 by 3 bytes", "open 101"));
  sockets_.monitor.reset();
  EXPECT_EQ(server_.serve(), Outcome::kClosed);
}

TEST_F(OwnerServerTest, WhatTheHostRefusesIsAnAnswer) {
  start_guest();
  duties_.refused.emplace("retrain 0000:01:00.0", Error(ErrorKind::kHost, "No\x1b[31m port"));
  EXPECT_EQ(send(owner::RetrainLink{.function = 0}), Outcome::kServed);
  const auto refused = answer();
  EXPECT_EQ(refused.error, ErrorKind::kHost);
  EXPECT_EQ(refused.text, "No?[31m port");
  EXPECT_EQ(send(owner::MarkFailed{.function = 0,
                                   .reason = "a\x07"
                                             "b"}),
            Outcome::kServed);
  EXPECT_EQ(duties_.notes.back(), "failed 0000:01:00.0: a?b");
}

TEST_F(OwnerServerTest, NothingIsHandedOverOnceTheGuestRuns) {
  start_guest();
  owner::HoldFunction hold;
  hold.function = test::held("0000:02:00.0");
  EXPECT_EQ(send(hold), Outcome::kViolation);
  EXPECT_THAT(server_.violation(), HasSubstr("before the guest"));
  EXPECT_THAT(duties_.notes, IsEmpty());
}

TEST_F(OwnerServerTest, APathCannotBeDeclaredOnceTheGuestRuns) {
  start_guest();
  EXPECT_EQ(send(owner::DeclareFile{.path = "/etc/shadow"}), Outcome::kViolation);
  EXPECT_THAT(duties_.notes, IsEmpty());
}

TEST_F(OwnerServerTest, TheGuestRunsOnce) {
  start_guest();
  EXPECT_EQ(send(owner::GuestRuns{}), Outcome::kViolation);
}

TEST_F(OwnerServerTest, NothingOfTheGuestsTimeBefore) {
  EXPECT_EQ(send(owner::RetrainLink{.function = 0}), Outcome::kViolation);
  EXPECT_THAT(duties_.notes, IsEmpty());
}

TEST_F(OwnerServerTest, FunctionsAndFilesOfOthersAreNobodys) {
  const std::vector<std::byte> contents(3);
  const auto file = owner::sealed_file(contents).value();
  struct Case {
    owner::Request request;
    std::vector<int> fds = {};
  };
  for (const auto& [request, fds] :
       {Case{owner::RetrainLink{.function = 1}}, Case{owner::CheckLink{.function = ~0U}},
        Case{owner::MarkFailed{.function = 1, .reason = ""}}, Case{owner::OpenFile{.file = 0}},
        Case{owner::OpenFile{.file = 2}}, Case{owner::ReplaceFile{.file = 1}, {file.get()}},
        Case{owner::ReplaceFile{.file = 2}, {file.get()}}}) {
    test::NotingOwner duties;
    auto sockets = owner::SocketPair::create().value();
    OwnerServer server(duties, std::move(sockets.owner));
    owner::HoldFunction hold;
    hold.function = test::held("0000:01:00.0");
    for (const owner::Request& first :
         {owner::Request(hold), owner::Request(owner::DeclareFile{.path = "/vars"}),
          owner::Request(owner::DeclareFile{.path = "/kernel", .use = FileUse::kRead}),
          owner::Request(owner::GuestRuns{})}) {
      ASSERT_EQ(owner::send_packet(sockets.monitor.get(), owner::encode(1, first), {}),
                owner::SendOutcome::kSent);
      ASSERT_EQ(server.serve(), Outcome::kServed);
    }
    duties.notes.clear();
    owner::send_packet(sockets.monitor.get(), owner::encode(9, request), fds);
    EXPECT_EQ(server.serve(), Outcome::kViolation) << request.index();
    EXPECT_THAT(duties.notes, IsEmpty()) << request.index();
  }
}

TEST_F(OwnerServerTest, DescriptorsMustBeThoseOfTheRequest) {
  owner::HoldFunction hold;
  hold.function = test::held("0000:01:00.0");
  hold.has_claim = true;
  EXPECT_EQ(send(hold), Outcome::kViolation);
  EXPECT_THAT(server_.violation(), HasSubstr("descriptors"));
  EXPECT_THAT(duties_.notes, IsEmpty());
}

TEST_F(OwnerServerTest, ADescriptorWhereNoneBelongs) {
  EXPECT_EQ(send(owner::GuestRuns{}, {STDERR_FILENO}), Outcome::kViolation);
  EXPECT_THAT(duties_.notes, IsEmpty());
}

/// So many descriptors in one packet, whatever the message has room for.
void send_descriptors(int socket, std::size_t count) {
  const auto bytes = owner::encode(1, owner::GuestRuns{});
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  std::vector<char> control(CMSG_SPACE(count * sizeof(int)));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  const std::vector<int> fds(count, STDERR_FILENO);
  std::memcpy(CMSG_DATA(header), fds.data(), count * sizeof(int));
  ASSERT_GT(::sendmsg(socket, &message, MSG_DONTWAIT), 0);
}

/// How many descriptors this process has.
int count_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  }
  return count;
}

TEST_F(OwnerServerTest, AFloodOfDescriptorsLeavesNone) {
  const int before = count_descriptors();
  send_descriptors(sockets_.monitor.get(), 200);
  EXPECT_EQ(server_.serve(), Outcome::kViolation);
  EXPECT_THAT(server_.violation(), HasSubstr("more bytes or descriptors"));
  EXPECT_EQ(count_descriptors(), before);
}

TEST_F(OwnerServerTest, GarbageIsAViolation) {
  EXPECT_EQ(send(std::vector<std::byte>(300, std::byte{0x5a})), Outcome::kViolation);
  EXPECT_THAT(server_.violation(), HasSubstr("header"));
}

TEST_F(OwnerServerTest, APacketThatIsTooLongIsAViolation) {
  EXPECT_EQ(send(std::vector<std::byte>(owner::kMostMessage + 1)), Outcome::kViolation);
  EXPECT_THAT(server_.violation(), HasSubstr("more bytes"));
}

TEST_F(OwnerServerTest, WhoFetchesNoAnswersIsStopped) {
  start_guest();
  duties_.refused.emplace("check 0000:01:00.0", Error(ErrorKind::kHost, std::string(4000, 'x')));
  auto outcome = Outcome::kServed;
  for (int i = 0; i < 100000 && outcome == Outcome::kServed; ++i) {
    now_ += std::chrono::hours(1);  // no rest
    outcome = send(owner::CheckLink{.function = 0});
  }
  EXPECT_EQ(outcome, Outcome::kViolation);
  EXPECT_THAT(server_.violation(), HasSubstr("fetches"));
}

TEST_F(OwnerServerTest, MoreRequestsThanThereAreReasonsForWait) {
  start_guest();
  now_ += std::chrono::seconds(10);
  for (unsigned i = 0; i < OwnerServer::kBurst; ++i) {
    ASSERT_EQ(send(owner::CheckLink{.function = 0}), Outcome::kServed) << i;
    answer();
  }
  EXPECT_EQ(send(owner::CheckLink{.function = 0}), Outcome::kNothing);
  EXPECT_GT(server_.rest().count(), 0);
  EXPECT_LE(server_.rest(), OwnerServer::kEvery);
  now_ += OwnerServer::kEvery;
  EXPECT_EQ(server_.rest().count(), 0);
  EXPECT_EQ(server_.serve(), Outcome::kServed);
  EXPECT_GT(server_.rest().count(), 0) << "one is due after each pause, and no more";
}

TEST_F(OwnerServerTest, ContentsComeInSealedMemoryFilesAlone) {
  const std::vector<std::byte> contents(OwnerServer::kMostContents + 1);
  const auto large = owner::sealed_file(contents).value();
  const UniqueFd open(::memfd_create("open", MFD_ALLOW_SEALING));
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  const UniqueFd folder(::open("/", O_RDONLY | O_DIRECTORY));
  const UniqueFd path(::open("/etc/passwd", O_PATH));
  for (const int fd : {large.get(), open.get(), out.get(), folder.get(), path.get()}) {
    EXPECT_FALSE(owner::read_sealed_file(fd, OwnerServer::kMostContents)) << fd;
  }
  start_guest();
  EXPECT_EQ(send(owner::ReplaceFile{.file = 0}, {out.get()}), Outcome::kViolation);
  EXPECT_THAT(duties_.notes, IsEmpty());
}

TEST_F(OwnerServerTest, SoManyAndNoMoreAreTaken) {
  for (std::size_t i = 0; i < OwnerServer::kMostHeld; ++i) {
    now_ += std::chrono::seconds(1);
    ASSERT_EQ(send(owner::DeclareFile{.path = "/vars"}), Outcome::kServed);
    ASSERT_FALSE(answer().error);
  }
  EXPECT_EQ(send(owner::DeclareFile{.path = "/vars"}), Outcome::kServed);
  EXPECT_EQ(answer().error, ErrorKind::kHost);
  EXPECT_EQ(send(owner::GuestRuns{}), Outcome::kServed);
  EXPECT_FALSE(answer().error);
}

TEST_F(OwnerServerTest, CardsOfItsConfigurationAreTakenAndGivenBack) {
  start_guest();
  duties_.busy = 2;
  duties_.values[{CardFileKind::kConfig, 0}] = 0x4100;  // 0000:41:00.0
  EXPECT_EQ(send(owner::TakeCard{.card = 1}), Outcome::kServed);
  EXPECT_FALSE(answer().error);
  EXPECT_EQ(send(owner::AskCard{.card = 1}), Outcome::kServed);
  EXPECT_EQ(answer().value, 0U) << "it is at work";
  EXPECT_EQ(send(owner::AskCard{.card = 1}), Outcome::kServed);
  EXPECT_EQ(answer().value, 1U);
  EXPECT_EQ(send(owner::FetchCardFile{.card = 1, .kind = CardFileKind::kConfig}), Outcome::kServed);
  EXPECT_EQ(answer().value, 0x4100U);
  EXPECT_EQ(fds_.size(), 1U);
  EXPECT_EQ(send(owner::CheckLink{.function = 1}), Outcome::kServed) << "it has the next number";
  EXPECT_FALSE(answer().error);
  EXPECT_EQ(send(owner::GiveBackCard{.card = 1}), Outcome::kServed);
  EXPECT_FALSE(answer().error);
  EXPECT_THAT(duties_.notes,
              ElementsAre("take card 1", "ask card 1", "ask card 1", "card 1 file 3.0",
                          "check 0000:41:00.0", "give back card 1"));
}

TEST_F(OwnerServerTest, AFunctionThatComesAgainKeepsItsNumber) {
  start_guest();
  duties_.values[{CardFileKind::kConfig, 0}] = 0x4100;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(send(owner::FetchCardFile{.kind = CardFileKind::kConfig}), Outcome::kServed);
    answer();
  }
  EXPECT_EQ(send(owner::CheckLink{.function = 1}), Outcome::kServed);
  EXPECT_EQ(send(owner::CheckLink{.function = 2}), Outcome::kViolation);
}

TEST_F(OwnerServerTest, WhatBecameOfACardIsAnAnswer) {
  start_guest();
  duties_.refused.emplace("ask card 0", Error(ErrorKind::kUnsafeDevice, "It hangs"));
  EXPECT_EQ(send(owner::AskCard{.card = 0}), Outcome::kServed);
  const auto told = answer();
  EXPECT_EQ(told.error, ErrorKind::kUnsafeDevice);
  EXPECT_THAT(told.text, HasSubstr("It hangs"));
}

TEST_F(OwnerServerTest, NoOtherCardIsAskedFor) {
  for (const owner::Request& request :
       {owner::Request(owner::TakeCard{.card = 2}), owner::Request(owner::GiveBackCard{.card = 2}),
        owner::Request(owner::AskCard{.card = 0xffffffff}),
        owner::Request(owner::FetchCardFile{.card = 2})}) {
    owner::SocketPair sockets = owner::SocketPair::create().value();
    OwnerServer server(
        duties_, std::move(sockets.owner), [this] { return now_; }, 2);
    for (const owner::Request& each : {owner::Request(owner::GuestRuns{}), request}) {
      ASSERT_EQ(owner::send_packet(sockets.monitor.get(), owner::encode(1, each), {}),
                owner::SendOutcome::kSent);
      duties_.notes.clear();
      const auto outcome = server.serve();
      EXPECT_EQ(outcome == Outcome::kViolation, each == request) << request.index();
    }
    EXPECT_THAT(server.violation(), HasSubstr("does not name"));
    EXPECT_THAT(duties_.notes, IsEmpty());
  }
}

TEST_F(OwnerServerTest, NoCardComesBeforeTheGuest) {
  EXPECT_EQ(send(owner::TakeCard{.card = 0}), Outcome::kViolation);
  EXPECT_THAT(duties_.notes, IsEmpty());
}

}  // namespace
}  // namespace gpuvm::owner_server_test
