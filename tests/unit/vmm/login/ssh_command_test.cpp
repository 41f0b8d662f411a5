// SPDX-License-Identifier: Apache-2.0
// The command line of ssh that leads into a guest.
#include "vmm/login/ssh_command.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gpuvm::ssh_command_test {
namespace {

std::string line_of(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

TEST(SshCommand, ByAPort) {
  const GuestRecord guest{.name = "g",
                          .address = "127.0.0.1",
                          .port = 2222,
                          .key = "/k/id_ed25519",
                          .known_hosts = "/run/g"};
  EXPECT_EQ(line_of(ssh_command(guest, {.user = "root"})),
            "ssh -F none -o UserKnownHostsFile=/run/g -o GlobalKnownHostsFile=/dev/null -o "
            "StrictHostKeyChecking=accept-new -o UpdateHostKeys=no -o HostKeyAlias=g -o "
            "LogLevel=ERROR -o IdentityFile=/k/id_ed25519 -o IdentitiesOnly=yes -l root -o "
            "HostName=127.0.0.1 -p 2222 -- g");
}

TEST(SshCommand, ByVsock) {
  const GuestRecord guest{.name = "g", .cid = 5, .known_hosts = "/run/g"};
  const auto words = ssh_command(
      guest,
      {.user = "me", .command = {"ls", "-l"}, .by_vsock = true, .program = "/opt/my gpuvm/100%"});
  const auto line = line_of(words);
  EXPECT_NE(line.find("-o ProxyCommand='/opt/my gpuvm/100%%' vsock-connect 5 22 -o "
                      "ProxyUseFdpass=yes -- g ls -l"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find("IdentitiesOnly"), std::string::npos)
      << "without a key ssh looks for its own";
}

TEST(SshCommand, PathsWithBlanksAndPercents) {
  const GuestRecord guest{.name = "g", .address = "::1", .port = 1, .known_hosts = "/a b/%\"c"};
  EXPECT_NE(line_of(ssh_command(guest, {.user = "root"}))
                .find("-o UserKnownHostsFile=\"/a b/%%\\\"c\" -o"),
            std::string::npos);
}

TEST(SshCommand, NamesThatBeginWithADash) {
  const auto words = ssh_command({.name = "-v", .address = "::1", .port = 1}, {.user = "root"});
  EXPECT_EQ(words.back(), "guest-v");
}

TEST(SshCommand, WordsForAShell) {
  EXPECT_EQ(shell_quoted("a-b_c./=:1"), "a-b_c./=:1");
  EXPECT_EQ(shell_quoted("a b"), "'a b'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted(""), "''");
  EXPECT_EQ(shell_quoted("$(x)"), "'$(x)'");
}

}  // namespace
}  // namespace gpuvm::ssh_command_test
