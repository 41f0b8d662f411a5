// SPDX-License-Identifier: Apache-2.0
// Bytes between a terminal and a guest's console, and the ways in which that ends.
#include "vmm/api_client/console_relay.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

namespace gpuvm::console_relay_test {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read;
  UniqueFd write;
};

class ConsoleRelay : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    console_.reset(ends[0]);
    guest_.reset(ends[1]);
  }

  Result<RelayOutcome> relay(std::uint8_t escape_key = 0x1d, int signals = -1,
                             std::string_view first = {}, bool is_terminal = false) {
    return relay_console(console_, first,
                         {.input = keys_.read.get(),
                          .output = screen_.write.get(),
                          .output_is_terminal = is_terminal,
                          .escape_key = escape_key,
                          .signals = signals});
  }
  void type(std::string_view text) const {
    ASSERT_EQ(::write(keys_.write.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  void print(std::string_view text) const {
    ASSERT_EQ(::send(guest_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// Up to the end.
  static std::string all_of(int fd) {
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::read(fd, piece.data(), piece.size())) > 0;) {
      text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  std::string shown() {
    screen_.write.reset();
    return all_of(screen_.read.get());
  }
  std::string typed() {
    console_.reset();
    return all_of(guest_.get());
  }

  UniqueFd console_;
  UniqueFd guest_;
  Pipe keys_;
  Pipe screen_;
};

TEST_F(ConsoleRelay, BothWaysUntilTheGuestGoes) {
  type("yes\n");
  print("sure? ");
  std::thread other([this] {
    std::array<char, 4> answer{};
    EXPECT_EQ(::recv(guest_.get(), answer.data(), answer.size(), MSG_WAITALL), 4);
    print(std::string_view(answer.data(), answer.size()));
    guest_.reset();
  });
  auto outcome = relay(0x1d, -1, "first ");
  other.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->end, RelayEnd::kGuestGone);
  EXPECT_EQ(shown(), "first sure? yes\n");
}

TEST_F(ConsoleRelay, TheEscapeKeyDetaches) {
  type(
      "ab\x1d"
      "cd");
  auto outcome = relay();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kDetached);
  EXPECT_EQ(typed(), "ab");
}

TEST_F(ConsoleRelay, WithoutOneAllIsTheGuests) {
  type(
      "ab\x1d"
      "cd");
  keys_.write.reset();
  ::shutdown(guest_.get(), SHUT_WR);
  // The guest's side is closed for output from the beginning; what is typed must be read first.
  auto outcome = relay(0);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kGuestGone);
  EXPECT_EQ(typed(),
            "ab\x1d"
            "cd");
}

TEST_F(ConsoleRelay, TheInputsEndIsNone) {
  keys_.write.reset();
  std::thread other([this] {
    ::usleep(50000);
    print("still there");
    guest_.reset();
  });
  auto outcome = relay();
  other.join();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kGuestGone);
  EXPECT_EQ(shown(), "still there");
}

TEST_F(ConsoleRelay, TheEscapeKeyIsSeenWhileTheGuestTakesNothing) {
  std::thread keys([this] {
    const std::string text(1 << 20, 'x');
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t written = ::write(keys_.write.get(), rest.data(), rest.size());
      ASSERT_GT(written, 0);
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    type("\x1d");
  });
  auto outcome = relay();
  keys.join();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kDetached);
}

TEST_F(ConsoleRelay, AFileIsTypedAsAWhole) {
  const std::string text(1 << 20, 'y');
  std::thread keys([&] {
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t written = ::write(keys_.write.get(), rest.data(), rest.size());
      ASSERT_GT(written, 0);
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    keys_.write.reset();
  });
  std::string got;
  std::thread other([&] {
    std::array<char, 4096> piece{};
    while (got.size() < text.size()) {
      const ssize_t more = ::recv(guest_.get(), piece.data(), piece.size(), 0);
      ASSERT_GT(more, 0);
      got.append(piece.data(), static_cast<std::size_t>(more));
    }
    guest_.reset();
  });
  auto outcome = relay(0);
  keys.join();
  other.join();
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(got == text);
}

TEST_F(ConsoleRelay, ASignalEndsIt) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC));
  ::raise(SIGUSR2);
  auto outcome = relay(0x1d, signals.get());
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kSignal);
  EXPECT_EQ(outcome->signal, SIGUSR2);
}

TEST_F(ConsoleRelay, NobodyReadsTheOutput) {
  screen_.read.reset();
  print("text");
  auto outcome = relay();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kNoReader);
}

/// More than all that can wait on the way.
const std::string& much() {
  static const std::string text(4 << 20, 'x');
  return text;
}

// As a terminal that is stopped (Ctrl-S), or whose other side hangs.
TEST_F(ConsoleRelay, TheEscapeKeyIsSeenWhileTheOutputTakesNothing) {
  ::fcntl(screen_.write.get(), F_SETFL, O_NONBLOCK);
  std::thread printer([this] {
    std::string_view rest = much();
    while (!rest.empty()) {
      const ssize_t sent = ::send(guest_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        break;  // who looked has left
      }
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    EXPECT_FALSE(rest.empty()) << "what is not shown waits where the guest is, not here";
  });
  std::thread keys([this] {
    ::usleep(200000);
    type("typed\x1d");
  });
  auto outcome = relay(0x1d, -1, {}, true);
  console_.reset();
  printer.join();
  keys.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->end, RelayEnd::kDetached);
}

TEST_F(ConsoleRelay, WhatTheGuestPrintedIsShownBeforeItsEnd) {
  ::fcntl(screen_.write.get(), F_SETFL, O_NONBLOCK);
  std::thread printer([this] {
    print(much());
    guest_.reset();
  });
  std::string seen;
  std::thread reader([&] {
    ::usleep(100000);
    seen = all_of(screen_.read.get());
  });
  auto outcome = relay();
  screen_.write.reset();
  printer.join();
  reader.join();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->end, RelayEnd::kGuestGone);
  EXPECT_TRUE(seen == much()) << seen.size();
}

TEST_F(ConsoleRelay, ATerminalIsAsItWasForWhoeverLeaves) {
  print("\x1b[?1049h\x1b[?1000hvi");
  std::thread keys([this] {
    ::usleep(100000);
    type("\x1d");
  });
  auto outcome = relay(0x1d, -1, "\x1b[?2004h", true);
  keys.join();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->end, RelayEnd::kDetached);
  EXPECT_EQ(shown(), "\x1b[?2004h\x1b[?1049h\x1b[?1000hvi\x1b[?1000l\x1b[?2004l\x1b[?1049l");
}

TEST_F(ConsoleRelay, AFileGetsWhatTheGuestPrintedAndNoMore) {
  print("\x1b[?1049h");
  guest_.reset();
  ASSERT_TRUE(relay());
  EXPECT_EQ(shown(), "\x1b[?1049h");
}

}  // namespace
}  // namespace gpuvm::console_relay_test
