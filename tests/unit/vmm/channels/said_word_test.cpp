// SPDX-License-Identifier: Apache-2.0
// What counts as a word, and what does not.
#include "vmm/channels/said_word.hpp"

#include <gtest/gtest.h>

#include <string>

namespace gpuvm::said_word_test {
namespace {

const SaidWord kReady{};

SaidWord exit_with(std::uint32_t status) {
  return {.status = status};
}

TEST(LineWord, NumbersAreStatuses) {
  EXPECT_EQ(read_line_word("0"), exit_with(0));
  EXPECT_EQ(read_line_word(" 3\t"), exit_with(3));
  EXPECT_EQ(read_line_word("007"), exit_with(7));
  EXPECT_EQ(read_line_word("4294967295"), exit_with(0xffff'ffff));
}

TEST(LineWord, JsonAndSystemdsSpelling) {
  EXPECT_EQ(read_line_word("{\"exit\":3}"), exit_with(3));
  EXPECT_EQ(read_line_word(" { \"exit\" : 3 } "), exit_with(3));
  EXPECT_EQ(read_line_word("EXIT_STATUS=3"), exit_with(3));
}

TEST(LineWord, Ready) {
  EXPECT_EQ(read_line_word("READY"), kReady);
  EXPECT_EQ(read_line_word("READY=1"), kReady);
}

TEST(LineWord, WhatIsNone) {
  for (const std::string line : {"",
                                 " ",
                                 "-1",
                                 "+1",
                                 "3.0",
                                 "3 4",
                                 "0x3",
                                 "4294967296",
                                 "99999999999999999999999",
                                 "three",
                                 "READY=0",
                                 "ready",
                                 "READYX",
                                 "EXIT_STATUS=",
                                 "EXIT_STATUS=-1",
                                 "EXIT_STATUS= x",
                                 "{",
                                 "{}",
                                 "}",
                                 "{\"exit\"}",
                                 "{\"exit\":}",
                                 "{\"exit\":3",
                                 "\"exit\":3}",
                                 "{\"exit\":\"3\"}",
                                 "{\"exit\":3,\"exit\":0}",
                                 "{\"exit\":-3}",
                                 "{exit:3}",
                                 "{\"Exit\":3}",
                                 "{{\"exit\":3}}",
                                 "exit 3"}) {
    EXPECT_FALSE(read_line_word(line)) << line;
  }
  EXPECT_FALSE(read_line_word(std::string_view("3\0", 2)));
  EXPECT_FALSE(read_line_word(std::string(100000, '1')));
}

TEST(Notification, WhatSystemdSays) {
  EXPECT_EQ(read_notification("READY=1\nSTATUS=Ready."), (std::vector{kReady}));
  EXPECT_EQ(read_notification("EXIT_STATUS=3\nX_SYSTEMD_SHUTDOWN=exit"),
            (std::vector{exit_with(3)}));
  EXPECT_EQ(read_notification("EXIT_STATUS=0\nX_SYSTEMD_SHUTDOWN=exit\n"),
            (std::vector{exit_with(0)}));
  EXPECT_TRUE(read_notification("X_SYSTEMD_UNIT_ACTIVE=multi-user.target").empty());
  EXPECT_TRUE(read_notification("").empty());
}

// A guest that powers off without a word has not passed: systemd adds the 0 by itself.
TEST(Notification, APowerOffIsNoStatus) {
  for (const char* how : {"poweroff", "reboot", "halt", "kexec"}) {
    EXPECT_TRUE(read_notification(std::string("EXIT_STATUS=0\nX_SYSTEMD_SHUTDOWN=") + how).empty())
        << how;
    EXPECT_TRUE(
        read_notification(std::string("X_SYSTEMD_SHUTDOWN=") + how + "\nEXIT_STATUS=0").empty())
        << how;
  }
  EXPECT_EQ(read_notification("EXIT_STATUS=0"), (std::vector{exit_with(0)})) << "254 and 255";
  EXPECT_EQ(read_notification("EXIT_STATUS=1\nX_SYSTEMD_SHUTDOWN=poweroff"),
            (std::vector{exit_with(1)}));
}

TEST(Notification, Nonsense) {
  for (const std::string text :
       {"READY=0", "READY", "READY=11", "=1", "EXIT_STATUS=x", "EXIT_STATUS=", "EXIT_STATUS=-1",
        " EXIT_STATUS=3", "\n\n\n", "X_READY=1", "READY=1\r"}) {
    EXPECT_TRUE(read_notification(text).empty()) << text;
  }
  EXPECT_EQ(read_notification("EXIT_STATUS=3\nREADY=1\nREADY=1\nEXIT_STATUS=0").size(), 2U);
  EXPECT_EQ(read_notification("EXIT_STATUS=3\nEXIT_STATUS=0"), (std::vector{exit_with(3)}));
}

}  // namespace
}  // namespace gpuvm::said_word_test
