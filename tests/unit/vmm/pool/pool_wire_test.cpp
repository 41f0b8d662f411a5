// SPDX-License-Identifier: Apache-2.0
// Lines and descriptors between a pool, its guests and who takes one; and what the lines say.
#include "vmm/pool/pool_wire.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace gpuvm::pool::pool_wire_test {
namespace {

using Progress = LineReceiver::Progress;
using Descriptors = LineReceiver::Descriptors;
constexpr std::chrono::milliseconds kPatience{10000};

class PoolWire : public testing::Test {
 protected:
  PoolWire() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    one_.reset(ends[0]);
    other_.reset(ends[1]);
  }
  void write_raw(std::string_view text) {
    ASSERT_EQ(::write(one_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  UniqueFd one_;
  UniqueFd other_;
  LineReceiver lines_{Descriptors::kTaken};
};

TEST_F(PoolWire, LinesInAnyPieces) {
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kMore);
  write_raw("on");
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kMore);
  write_raw("e\ntwo\n\nthr");
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kLine);
  EXPECT_EQ(lines_.line(), "one");
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kLine);
  EXPECT_EQ(lines_.line(), "two");
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kLine);
  EXPECT_EQ(lines_.line(), "");
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kMore);
  one_.reset();
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kClosed) << "half a line is none";
}

TEST_F(PoolWire, ADescriptorComesWithItsLine) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(send_line(one_.get(), "here", kPatience, file.get()));
  EXPECT_EQ(lines_.receive(other_.get()), Progress::kLine);
  EXPECT_EQ(lines_.line(), "here");
  const UniqueFd got = lines_.take_descriptor();
  ASSERT_TRUE(got);
  EXPECT_NE(got.get(), file.get());
  EXPECT_EQ(::fcntl(got.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_FALSE(lines_.take_descriptor());
}

// A thread that may call read(2) alone must not get a stranger's descriptors.
TEST_F(PoolWire, DescriptorsThatNobodyWants) {
  LineReceiver plain(Descriptors::kNobody);
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(send_line(one_.get(), "here", kPatience, file.get()));
  EXPECT_EQ(plain.receive(other_.get()), Progress::kLine);
  EXPECT_FALSE(plain.take_descriptor());
}

TEST_F(PoolWire, ALineWithoutEndIsRefused) {
  const std::string piece(64 * 1024, 'x');
  Progress progress = Progress::kMore;
  for (int i = 0; i < 8 && progress == Progress::kMore; ++i) {
    ::send(one_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    for (int k = 0; k < 4 && progress == Progress::kMore; ++k) {
      progress = lines_.receive(other_.get());
    }
  }
  EXPECT_EQ(progress, Progress::kWrong);
}

// Else who hears a hostile guest would do nothing else: no signal, no other guest.
TEST_F(PoolWire, MoreLinesThanThereAreReasonsForAreRefused) {
  LineReceiver bounded(Descriptors::kTaken, 2);
  write_raw("one\ntwo\nthree\n");
  EXPECT_EQ(bounded.receive(other_.get()), Progress::kLine);
  EXPECT_EQ(bounded.receive(other_.get()), Progress::kLine);
  EXPECT_EQ(bounded.line(), "two");
  EXPECT_EQ(bounded.receive(other_.get()), Progress::kWrong);
}

TEST_F(PoolWire, WhoDoesNotReadKeepsNobody) {
  const std::string line(1024 * 1024, 'x');
  const auto sent = send_line(one_.get(), line, std::chrono::milliseconds(50));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), ErrorKind::kHost);
}

TEST_F(PoolWire, WhoIsGoneIsAnError) {
  other_.reset();
  EXPECT_FALSE(send_line(one_.get(), "x", kPatience)) << "and no SIGPIPE";
}

TEST_F(PoolWire, WaitsForALineNoLongerThanItIsTold) {
  const auto none = receive_line(lines_, other_.get(), std::chrono::milliseconds(30), "The pool x");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("The pool x"), std::string::npos);
  write_raw("late\n");
  EXPECT_TRUE(receive_line(lines_, other_.get(), kPatience, "The pool x"));
  EXPECT_EQ(lines_.line(), "late");
  one_.reset();
  EXPECT_FALSE(receive_line(lines_, other_.get(), kPatience, "The pool x"));
}

TEST(PoolWords, ARequest) {
  const std::string machine = "cpus = 2\nname = \"é\\\"\"\n";
  const auto read = read_take_request(to_line(TakeRequest{.machine = machine}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->machine, machine);
  EXPECT_EQ(to_line(TakeRequest{.machine = machine}).find('\n'), std::string::npos);
}

TEST(PoolWords, WhatIsNoRequest) {
  for (const char* const line :
       {"", "{}", "[]", "null", "{\"take\":2,\"machine\":\"\"}", "{\"take\":\"1\"}",
        "GET / HTTP/1.1", "{\"take\":1", "{\"take\":{}}"}) {
    EXPECT_FALSE(read_take_request(line)) << line;
  }
  EXPECT_TRUE(read_take_request("{\"take\":1,\"machine\":5}")->machine.empty());
}

TEST(PoolWords, AnAnswer) {
  const auto guest =
      read_take_answer(to_line(TakenGuest{.name = "ci-1", .socket = "/run/x.sock", .pid = 7}));
  ASSERT_TRUE(guest);
  EXPECT_EQ(guest->name, "ci-1");
  EXPECT_EQ(guest->socket, "/run/x.sock");
  EXPECT_EQ(guest->pid, 7);
}

TEST(PoolWords, ARefusalKeepsItsKind) {
  const auto refused =
      read_take_answer(refusal_line(fail(ErrorKind::kConfig, "The pool has others")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConfig);
  EXPECT_EQ(refused.error().to_string(), "The pool has others");
}

TEST(PoolWords, WhatIsNoAnswer) {
  for (const char* const line :
       {"", "{}", "{\"guest\":\"x\"}", "{\"guest\":\"x\",\"socket\":\"relative\"}",
        "{\"guest\":\"\",\"socket\":\"/x\"}", "{\"error\":\"text\"}", "[1]"}) {
    const auto read = read_take_answer(line);
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().kind(), ErrorKind::kHost);
  }
}

TEST(PoolWords, OfALease) {
  const auto go =
      read_lease_word(to_line(LeaseWord{.kind = LeaseWord::Kind::kGo, .words = "a\nb"}));
  ASSERT_TRUE(go);
  EXPECT_EQ(go->kind, LeaseWord::Kind::kGo);
  EXPECT_EQ(go->words, "a\nb");
  for (const auto kind : {LeaseWord::Kind::kPressPowerButton, LeaseWord::Kind::kStop}) {
    EXPECT_EQ(read_lease_word(to_line(LeaseWord{.kind = kind}))->kind, kind);
  }
  EXPECT_FALSE(read_lease_word("{\"do\":\"dance\"}"));
  EXPECT_FALSE(read_lease_word("stop"));
}

TEST(PoolWords, OfAnEnd) {
  RunResult result;
  result.end = RunEnd::kGuestExit;
  result.exit_status = 42;
  result.reboots = 3;
  result.error = Error(ErrorKind::kUnsafeDevice, "0000:01:00.0 did not come back");
  const auto read =
      read_member_word(to_line(MemberWord{.kind = MemberWord::Kind::kEnded, .result = result}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, MemberWord::Kind::kEnded);
  EXPECT_EQ(read->result.end, RunEnd::kGuestExit);
  EXPECT_EQ(read->result.exit_status, 42);
  EXPECT_EQ(read->result.reboots, 3U);
  ASSERT_TRUE(read->result.error);
  EXPECT_EQ(read->result.error->kind(), ErrorKind::kUnsafeDevice);
}

// A guest's gpuvm may have been taken over: what it says is bounded.
TEST(PoolWords, OfAHostileMember) {
  EXPECT_FALSE(read_member_word("{\"say\":5}"));
  EXPECT_FALSE(read_member_word("\xff\xfe"));
  const auto wild = read_member_word(
      R"({"say":"ended","end":"exploded","exit_status":99999999999,"signal":-4,"error":{}})");
  ASSERT_TRUE(wild);
  EXPECT_EQ(wild->result.end, RunEnd::kFailed);
  EXPECT_EQ(wild->result.exit_status, 255);
  EXPECT_EQ(wild->result.signal, 255);
  ASSERT_TRUE(wild->result.error);
  EXPECT_EQ(wild->result.error->kind(), ErrorKind::kHost);
}

}  // namespace
}  // namespace gpuvm::pool::pool_wire_test
