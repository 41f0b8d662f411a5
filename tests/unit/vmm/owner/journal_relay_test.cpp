// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/journal_relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "vmm/base/journal.hpp"

namespace gpuvm::journal_relay_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

JournalVoice voice() {
  return {.guest = "main", .message_ids = {"0123", "4567"}};
}

bool is_allowed(std::string_view entry) {
  return is_allowed_journal_entry(entry, voice());
}

TEST(JournalRelayTest, WhatTheLogWritesPasses) {
  const std::vector<JournalField> fields = {{"MESSAGE", "two\nlines"},
                                            {"PRIORITY", "6"},
                                            {"SYSLOG_IDENTIFIER", "gpuvm"},
                                            {"GPUVM_NAME", "main"},
                                            {"GPUVM_DEVICE", "0000:01:00.0"},
                                            {"GPUVM_EVENT", "{\"event\": \"reset\"}"},
                                            {"MESSAGE_ID", "0123"}};
  EXPECT_TRUE(is_allowed(journal_entry(fields)));
  const std::string longest(kLongestJournalValue, 'x');
  EXPECT_TRUE(is_allowed(
      journal_entry(std::vector<JournalField>{{"MESSAGE", longest}, {"PRIORITY", "3"}})));
  EXPECT_TRUE(is_allowed("MESSAGE=\n"));
}

// A monitor that a guest has taken over speaks of its own guest, to who looks into the journal.
TEST(JournalRelayTest, NobodyElsesVoiceDoes) {
  for (const JournalField& wrong : std::vector<JournalField>{{"GPUVM_NAME", "other"},
                                                             {"GPUVM_NAME", ""},
                                                             {"SYSLOG_IDENTIFIER", "sshd"},
                                                             {"PRIORITY", "0"},
                                                             {"PRIORITY", "2"},
                                                             {"PRIORITY", "8"},
                                                             {"PRIORITY", "33"},
                                                             {"PRIORITY", ""},
                                                             {"MESSAGE_ID", "89ab"},
                                                             {"GPUVM_NAME", "main\nother"}}) {
    const std::vector<JournalField> fields = {{"MESSAGE", "a"}, wrong};
    EXPECT_FALSE(is_allowed(journal_entry(fields))) << wrong.name << " " << wrong.value;
  }
  EXPECT_FALSE(is_allowed("GPUVM_NAME=main\nGPUVM_NAME=other\n")) << "nor as a second value";
}

/// A message of any bytes, behind their number, of which the first byte is `size`, the others
/// `rest`.
std::string of_bytes(char size, char rest, const std::string& value) {
  std::string entry = "MESSAGE\n";
  entry.push_back(size);
  entry.append(7, rest);
  entry += value;
  return entry;
}

TEST(JournalRelayTest, OtherFieldsAndHalfEntriesDoNot) {
  for (const std::string entry :
       {"", "MESSAGE", "MESSAGE=a", "=a\n", "message=a\n", "_PID=1\n", "OBJECT_PID=1\n",
        "MESSAGE=a\nSYSLOG_FACILITY=3\n", "MESSAGE=a\n\n", "MESSAGE\n", "MESSAGE\n1234567"}) {
    EXPECT_FALSE(is_allowed(entry)) << entry;
  }
  EXPECT_FALSE(is_allowed(std::string(60'000, '\n')));
  EXPECT_TRUE(is_allowed(of_bytes(1, 0, "a\n")));
  EXPECT_FALSE(is_allowed(of_bytes(1, 0, "ab\n")));
  EXPECT_FALSE(is_allowed(of_bytes(1, 0, "a")));
  EXPECT_FALSE(is_allowed(of_bytes(0, 0, "")));
  EXPECT_TRUE(is_allowed(of_bytes(0, 0, "\n")));
  EXPECT_FALSE(is_allowed(of_bytes('\xff', '\xff', "a\n")));
}

void tell(const JournalRelay& relay, const std::string& text) {
  ::send(relay.monitor_end(), text.data(), text.size(), MSG_DONTWAIT);
}

TEST(JournalRelayTest, TheMonitorsEntriesArePassedOn) {
  std::vector<std::string> sent;
  auto relay = JournalRelay::create(
                   [&sent](std::string_view text) {
                     sent.emplace_back(text);
                     return true;
                   },
                   voice())
                   .value();
  const pid_t other = ::fork();
  if (other == 0) {
    tell(relay, "MESSAGE=stranger\n");
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(other, nullptr, 0), other);
  relay.pass_on(::getpid());
  EXPECT_THAT(sent, IsEmpty()) << "another process is not the monitor";
  tell(relay, "MESSAGE=a\n");
  tell(relay, "MESSAGE=b\nOBJECT_PID=1\n");
  tell(relay, "MESSAGE=c\n");
  relay.pass_on(::getpid());
  EXPECT_THAT(sent, ElementsAre("MESSAGE=a\n", "MESSAGE=c\n"));
  relay.take_monitor_end().reset();
  relay.pass_on(::getpid());
  EXPECT_EQ(relay.fd(), -1) << "nobody waits for one that is closed";
}

/// With the address of another socket in a message: of datagrams it would go there.
TEST(JournalRelayTest, TheMonitorsEndLeadsNowhereElse) {
  const auto relay = JournalRelay::create([](std::string_view) { return true; }, voice()).value();
  const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  socklen_t size = sizeof(sa_family_t);  // the kernel chooses one (unix(7), Autobind)
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  size = sizeof name;
  ASSERT_EQ(::getsockname(other.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  ::sendto(relay.monitor_end(), "MESSAGE=a\n", 10, MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&name), size);
  char byte = 0;
  EXPECT_LT(::recv(other.get(), &byte, 1, 0), 0);
}

/// A monitor must not fill the host's journal.
TEST(JournalRelayTest, AFloodIsHeldBack) {
  unsigned sent = 0;
  const auto now = JournalRelay::Clock::time_point();
  auto relay = JournalRelay::create(
                   [&sent](std::string_view) {
                     ++sent;
                     return true;
                   },
                   voice(), [now] { return now; })
                   .value();
  for (unsigned i = 0; i < 2 * JournalRelay::kBurst; ++i) {
    tell(relay, "MESSAGE=a\n");
    relay.pass_on(::getpid());
  }
  EXPECT_EQ(sent, JournalRelay::kBurst);
}

}  // namespace
}  // namespace gpuvm::journal_relay_test
