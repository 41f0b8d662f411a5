// SPDX-License-Identifier: Apache-2.0
// A guest's console by its control socket: several viewers, typing, and who does not read.
#include <algorithm>

#include "tests/unit/vmm/api/api_fixture.hpp"

namespace gpuvm::api_console_test {
namespace {

using test::ApiClient;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kUpgrade =
    "GET /v1/console HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
    "Upgrade: gpuvm-console\r\n\r\n";

class ApiConsoleTest : public test::ApiTest {
 protected:
  /// What is typed is taken in pieces of at most `room` bytes.
  ApiServer::Options with_console(std::size_t room = 1000) {
    auto made = options();
    made.limits.stream_waiting = 64 * 1024;
    made.type_serial = [this, room](std::span<const std::byte> bytes) {
      const auto taken = std::min(bytes.size(), room);
      typed_.append(reinterpret_cast<const char*>(bytes.data()), taken);
      return taken;
    };
    return made;
  }
  void print(std::string_view text) { server_->serial()->write(std::as_bytes(std::span(text))); }
  std::string typed() {
    std::string copy;
    on_control([&] { copy = typed_; });
    return copy;
  }
  bool is_typed(const std::string& text) {
    for (int i = 0; i < 500 && typed() != text; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return typed() == text;
  }

  std::string typed_;  ///< control thread
};

TEST_F(ApiConsoleTest, AllViewersSeeWhatIsPrintedAndALittleOfWhatWasBefore) {
  serve(with_console());
  print("before\n");
  ApiClient one(path());
  one.send(kUpgrade);
  EXPECT_THAT(one.read_until("before\n"),
              AllOf(StartsWith("HTTP/1.1 101 Switching Protocols\r\n"),
                    HasSubstr("Upgrade: gpuvm-console\r\n"), EndsWith("\r\n\r\nbefore\n")));
  print("between\n");
  ApiClient other(path());
  other.send(kUpgrade);
  other.read_until("between\n");
  print("after\n");
  EXPECT_THAT(one.read_until("after\n"), EndsWith("\r\n\r\nbefore\nbetween\nafter\n"));
  EXPECT_THAT(other.read_until("after\n"), EndsWith("\r\n\r\nbefore\nbetween\nafter\n"));
}

TEST_F(ApiConsoleTest, AllViewersMayType) {
  serve(with_console());
  ApiClient one(path());
  one.send(std::string(kUpgrade) + "early ");  // with the request already
  one.read_until("\r\n\r\n");
  ASSERT_TRUE(is_typed("early "));
  ApiClient other(path());
  other.send(kUpgrade);
  other.read_until("\r\n\r\n");
  other.send("late");
  EXPECT_TRUE(is_typed("early late"));
}

TEST_F(ApiConsoleTest, WhatTheGuestDoesNotTakeWaits) {
  serve(with_console(3));
  ApiClient client(path());
  client.send(kUpgrade);
  client.read_until("\r\n\r\n");
  client.send("abcdefgh");
  ASSERT_TRUE(is_typed("abc"));
  server_->serial()->resume_input();
  ASSERT_TRUE(is_typed("abcdef"));
  server_->serial()->resume_input();
  EXPECT_TRUE(is_typed("abcdefgh"));
}

/// Of "[gpuvm: 123 bytes are left out here: …]".
std::uint64_t bytes_left_out(const std::string& text) {
  constexpr std::string_view kBefore = "[gpuvm: ";
  std::uint64_t sum = 0;
  for (auto at = text.find(kBefore); at != std::string::npos; at = text.find(kBefore, at + 1)) {
    sum += std::stoull(text.substr(at + kBefore.size()));
  }
  return sum;
}

TEST_F(ApiConsoleTest, AViewerThatReadsTooSlowlyIsToldWhatItMissesAndTheOthersSeeAll) {
  serve(with_console());
  ApiClient slow(path());
  slow.send(kUpgrade);
  slow.read_until("\r\n\r\n");
  slow.forget();
  ApiClient reader(path());
  reader.send(kUpgrade);
  reader.read_until("\r\n\r\n");
  constexpr std::size_t kLines = 1000;
  const std::string line = std::string(999, 'x') + "\n";
  for (std::size_t i = 0; i < kLines; ++i) {
    print(line);
    reader.read_until("\n");
    reader.forget();
  }
  EXPECT_EQ(connections(), 2U);
  // From here on it reads: all that was kept for it, how much was not, and what comes.
  const std::string seen = slow.read_until("read]\r\n");
  EXPECT_THAT(seen, HasSubstr("bytes are left out here"));
  const auto shown = static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), 'x') +
                                                std::count(seen.begin(), seen.end(), '\n') - 2);
  EXPECT_EQ(shown + bytes_left_out(seen), kLines * line.size());
  print("still\n");
  EXPECT_THAT(slow.read_until("still\n"), EndsWith("]\r\nstill\n"));
  EXPECT_THAT(reader.read_until("still\n"), HasSubstr("still\n"));
}

TEST_F(ApiConsoleTest, AGapAtTheEndOfTheRunIsToldToo) {
  serve(with_console());
  ApiClient client(path());
  client.send(kUpgrade);
  client.read_until("\r\n\r\n");
  client.forget();
  on_control([] {});  // the console is attached behind the head of the answer
  constexpr std::size_t kPieces = 1000;
  for (std::size_t i = 0; i < kPieces; ++i) {
    print(std::string(1000, 'z'));
  }
  on_control([] {});  // it has what it can have
  context_.stop();
  thread_.join();
  std::thread reader([&client] { client.read_all(); });
  stop_server();
  reader.join();
  const std::string seen = client.read_all();
  EXPECT_EQ(
      static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), 'z')) + bytes_left_out(seen),
      kPieces * 1000);
}

TEST_F(ApiConsoleTest, MoreAtOnceThanMayWaitIsAGapToo) {
  serve(with_console());
  ApiClient client(path());
  client.send(kUpgrade);
  client.read_until("\r\n\r\n");
  client.forget();
  on_control([] {});  // the console is attached behind the head of the answer
  print(std::string(100 * 1024, '#'));
  const std::string seen = client.read_until("read]\r\n");
  EXPECT_EQ(
      static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), '#')) + bytes_left_out(seen),
      100U * 1024);
  EXPECT_THAT(seen, HasSubstr("[gpuvm: 36864 bytes are left out here"));
}

TEST_F(ApiConsoleTest, AViewerThatLeavesIsForgotten) {
  serve(with_console());
  for (int i = 0; i < 50; ++i) {
    ApiClient client(path());
    client.send(kUpgrade);
    client.read_until("\r\n\r\n");
  }
  EXPECT_TRUE(comes_to(0));
  std::size_t viewers = 1;
  on_control([&] { viewers = server_->serial()->viewers(); });
  EXPECT_EQ(viewers, 0U);
}

TEST_F(ApiConsoleTest, TheEndOfTheRunIsSeenWithTheLastOutput) {
  serve(with_console());
  ApiClient client(path());
  client.send(kUpgrade);
  client.read_until("\r\n\r\n");
  context_.stop();
  thread_.join();
  print("last words");  // after the control thread's last handler
  stop_server();
  EXPECT_THAT(client.read_all(), EndsWith("last words"));
  EXPECT_TRUE(client.is_over());
}

TEST_F(ApiConsoleTest, OnlyAGuestThatHasAVirtioConsoleShowsIt) {
  serve(with_console());
  ApiClient client(path());
  client.send(
      "GET /v1/console?virtio HTTP/1.1\r\nConnection: upgrade\r\n"
      "Upgrade: gpuvm-console\r\n\r\n");
  EXPECT_THAT(client.read_until("}\n"),
              AllOf(StartsWith("HTTP/1.1 404 "), HasSubstr("no virtio console")));
}

TEST_F(ApiConsoleTest, SerialAndVirtioAreTwo) {
  auto made = with_console();
  made.type_virtio = [](std::span<const std::byte> bytes) { return bytes.size(); };
  serve(std::move(made));
  ApiClient client(path());
  client.send(
      "GET /v1/console?virtio HTTP/1.1\r\nConnection: upgrade\r\n"
      "Upgrade: gpuvm-console\r\n\r\n");
  client.read_until("\r\n\r\n");
  print("serial\n");
  constexpr std::string_view kText = "virtio\n";
  server_->virtio()->write(std::as_bytes(std::span(kText)));
  EXPECT_THAT(client.read_until("virtio\n"), Not(HasSubstr("serial\n")));
}

}  // namespace
}  // namespace gpuvm::api_console_test
