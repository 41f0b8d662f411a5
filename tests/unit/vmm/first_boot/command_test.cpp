// SPDX-License-Identifier: Apache-2.0
// What a guest is told of a command, and where that has no room.
#include "vmm/first_boot/command.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/fixtures/source_file.hpp"
#include "vmm/first_boot/credentials.hpp"

namespace gpuvm::command_test {
namespace {

/// Lines without those that are comments.
std::string without_comments(std::istream& lines) {
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    out += line.starts_with('#') ? "" : line + "\n";
  }
  return out;
}

class Commands : public testing::Test {
 protected:
  std::string text_of(const std::string& name) const {
    const auto found =
        std::find_if(config_.credentials.begin(), config_.credentials.end(),
                     [&name](const CredentialConfig& each) { return each.name == name; });
    return found == config_.credentials.end() ? "absent" : found->text.value_or("no text");
  }
  std::string refusal(const std::string& command) {
    const auto added = add_command(config_, command);
    return added ? "" : added.error().to_string();
  }
  Config config_;
};

TEST_F(Commands, ReachSystemdByCredentials) {
  ASSERT_TRUE(add_command(config_, "make test\nexit 3"));
  EXPECT_EQ(text_of("gpuvm.run"), "make test\nexit 3");
  EXPECT_EQ(text_of("systemd.extra-unit.gpuvm-run.service"), command_unit());
  EXPECT_EQ(text_of("systemd.unit-dropin.multi-user.target~gpuvm-run"),
            "[Unit]\nWants=gpuvm-run.service\n");
  EXPECT_NE(text_of("gpuvm.runner").find("org.gpuvm.status"), std::string::npos);
  EXPECT_TRUE(config_.test.status_port) << "by which the status comes back";
  EXPECT_EQ(config_.boot.cmdline, "") << "there is no kernel";
}

TEST_F(Commands, ReachAnInitrdByTheCommandLine) {
  config_.boot.kernel = "/k";
  config_.boot.cmdline = "quiet";
  ASSERT_TRUE(add_command(config_, "echo 'a b' && exit 3"));
  EXPECT_EQ(config_.boot.cmdline, "quiet gpuvm.run=" + to_base64("echo 'a b' && exit 3"));
  Config other;
  other.boot.kernel = "/k";
  ASSERT_TRUE(add_command(other, "true"));
  EXPECT_EQ(other.boot.cmdline, "gpuvm.run=dHJ1ZQ==");
}

// Linux takes 2047 bytes; a run adds up to two words of its own.
TEST_F(Commands, ACommandLineHasAnEnd) {
  config_.boot.kernel = "/k";
  config_.boot.cmdline = "quiet";
  const std::string much(1500, 'x');
  EXPECT_NE(refusal(much).find("has 2010 bytes on the kernel's command line, where 2009 are left: "
                               "put it into a script in the initrd"),
            std::string::npos)
      << refusal(much);
  EXPECT_EQ(config_.boot.cmdline, "quiet");
  EXPECT_TRUE(config_.credentials.empty());
  config_.disks.push_back({.path = "/d"});
  EXPECT_TRUE(add_command(config_, much)) << "a disk's system has it by credentials";
  EXPECT_EQ(config_.boot.cmdline, "quiet");
  Config full;
  full.boot.kernel = "/k";
  full.boot.cmdline = std::string(4000, 'x');
  const auto added = add_command(full, "true");
  ASSERT_FALSE(added);
  EXPECT_NE(added.error().to_string().find("where 0 are left"), std::string::npos);
}

TEST_F(Commands, WhatIsNoCommand) {
  EXPECT_NE(refusal("").find("is empty"), std::string::npos);
  EXPECT_NE(refusal(" \n").find("is empty"), std::string::npos);
  EXPECT_NE(refusal(std::string("a\0b", 3)).find("zero byte"), std::string::npos);
  EXPECT_NE(refusal(std::string(kMostCommandBytes + 1, 'x')).find("at most 12288"),
            std::string::npos);
  EXPECT_TRUE(config_.credentials.empty());
}

TEST_F(Commands, TheLargestHasRoomAmongCredentials) {
  ASSERT_TRUE(add_command(config_, std::string(kMostCommandBytes - 1, 'x') + "\n"));
  std::vector<Credential> credentials;
  for (const auto& each : config_.credentials) {
    credentials.push_back({each.name, *each.text});
  }
  EXPECT_TRUE(credential_strings(credentials));
}

TEST_F(Commands, AUsersCredentialIsNotReplaced) {
  config_.credentials.push_back({.name = "gpuvm.run", .text = "theirs", .file = {}});
  EXPECT_EQ(refusal("true"),
            "credentials.gpuvm.run is what a command for the guest is handed over by: remove it");
  EXPECT_EQ(config_.credentials.size(), 1U);
}

// Two places, one text.
TEST(CommandUnit, IsThatOfOurImages) {
  std::ifstream file(test::source_file("scripts/image/etc/systemd/system/gpuvm-run.service"));
  ASSERT_TRUE(file);
  std::istringstream own{std::string(command_unit())};
  EXPECT_EQ(without_comments(file), without_comments(own));
}

/// What the runner, with a command, does on this machine, which is no guest: ports and power are
/// not there.
TEST(CommandRunner, IsAShellScript) {
  Config config;
  ASSERT_TRUE(add_command(config, "true"));
  const auto runner =
      std::find_if(config.credentials.begin(), config.credentials.end(),
                   [](const CredentialConfig& each) { return each.name == "gpuvm.runner"; });
  const std::string path = testing::TempDir() + "/gpuvm-runner-test.sh";
  std::ofstream(path) << *runner->text;
  EXPECT_EQ(std::system(("/bin/sh -n " + path).c_str()), 0);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace gpuvm::command_test
