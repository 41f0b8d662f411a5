// SPDX-License-Identifier: Apache-2.0
// A terminal in raw mode, and given back.
#include "vmm/console/terminal_mode.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::terminal_mode_test {
namespace {

class TerminalModes : public testing::Test {
 protected:
  void SetUp() override {
    int user = -1;
    int terminal = -1;
    ASSERT_EQ(::openpty(&user, &terminal, nullptr, nullptr, nullptr), 0);
    user_.reset(user);
    terminal_.reset(terminal);
  }
  termios attributes() const {
    termios found{};
    EXPECT_EQ(::tcgetattr(terminal_.get(), &found), 0);
    return found;
  }
  void type(const std::string& text) const {
    ASSERT_EQ(::write(user_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  /// Bytes that a reader of the terminal would get, once there are some: the kernel hands them over
  /// in a thread of its own.
  int readable_soon() const {
    pollfd here{.fd = terminal_.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&here, 1, 10'000), 1);
    return readable();
  }
  /// Bytes that a reader of the terminal would get at once.
  int readable() const {
    int bytes = -1;
    EXPECT_EQ(::ioctl(terminal_.get(), FIONREAD, &bytes), 0);
    return bytes;
  }

  UniqueFd user_;  ///< its other side
  UniqueFd terminal_;
};

TEST_F(TerminalModes, IsRawAndThenAsBefore) {
  const termios before = attributes();
  {
    const auto mode = TerminalMode::make_raw(terminal_.get());
    ASSERT_TRUE(mode);
    EXPECT_EQ(attributes().c_lflag & static_cast<tcflag_t>(ICANON | ECHO | ISIG), 0U);
    EXPECT_EQ(attributes().c_oflag, before.c_oflag);
  }
  const termios after = attributes();
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
}

// Lines that were typed for the guest when it had gone: the shell must not run them.
TEST_F(TerminalModes, WhatWasTypedForTheGuestIsNotTheShells) {
  {
    const auto mode = TerminalMode::make_raw(terminal_.get());
    ASSERT_TRUE(mode);
    type("poweroff\r\n");
    ASSERT_GT(readable_soon(), 0);
  }
  EXPECT_EQ(readable(), 0);
  type("ls\n");
  EXPECT_EQ(readable_soon(), 3);
}

// One that is stopped, or whose user is gone to sleep, takes no output.
TEST_F(TerminalModes, IsNotWaitedFor) {
  ::fcntl(terminal_.get(), F_SETFL, O_NONBLOCK);
  const std::string text(4096, 'x');
  while (::write(terminal_.get(), text.data(), text.size()) > 0) {
  }
  ASSERT_EQ(::tcflow(terminal_.get(), TCOOFF), 0);
  const auto begin = std::chrono::steady_clock::now();
  { const auto mode = TerminalMode::make_raw(terminal_.get()); }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST_F(TerminalModes, AFileHasNone) {
  const UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(TerminalMode::make_raw(file.get()));
}

}  // namespace
}  // namespace gpuvm::terminal_mode_test
