// SPDX-License-Identifier: Apache-2.0
// Public keys of users, and the one that gpuvm has made; ssh-keygen(1) is the judge of that.
#include "vmm/first_boot/ssh_key.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace gpuvm::ssh_key_test {
namespace {

class SshKeys : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/gpuvm-key-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  std::string refusal(const std::string& text) const {
    const auto key = read_public_key(write("key.pub", text));
    return key ? "" : key.error().to_string();
  }

  std::string folder_;
};

TEST_F(SshKeys, OneLineAsSshKeygenWritesIt) {
  const auto key = read_public_key(write("me.pub", "ssh-ed25519 AAAAC3Nz me@host\n"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->line, "ssh-ed25519 AAAAC3Nz me@host");
  EXPECT_EQ(key->private_path, "") << "there is no file beside it";
  write("me", "private");
  EXPECT_EQ(read_public_key(folder_ + "/me.pub")->private_path, folder_ + "/me");
  EXPECT_EQ(refusal("sk-ssh-ed25519@openssh.com AAAAGn== token"), "");
}

TEST_F(SshKeys, WhatIsNoPublicKey) {
  for (const char* text : {"", "\n", "ssh-ed25519", "ssh-ed25519 ", "hello world", "ssh-dss AAAA",
                           "ssh-ed25519 AA*A", "command=\"x\" ssh-ed25519 AAAA",
                           "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b", "ssh-rsa AAAA \x01"}) {
    EXPECT_NE(refusal(text).find("is no public key"), std::string::npos) << text;
  }
  const auto text = refusal("-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n");
  EXPECT_NE(text.find("is a private key, which no guest may have"), std::string::npos) << text;
  EXPECT_EQ(text.find("SECRET"), std::string::npos);
  EXPECT_NE(read_public_key(folder_ + "/absent").error().to_string().find("absent"),
            std::string::npos);
}

TEST_F(SshKeys, AnOwnOneIsMadeOnceAndKept) {
  if (::access("/usr/bin/ssh-keygen", X_OK) != 0) {
    GTEST_SKIP() << "ssh-keygen is not installed";
  }
  const std::string home = folder_ + "/state/gpuvm";
  EXPECT_NE(own_ssh_key(home, SshKeyUse::kLook)->line, "");
  EXPECT_FALSE(std::filesystem::exists(home)) << "a look has made something";
  std::vector<std::thread> threads;
  std::array<std::string, 4> lines;
  for (auto& line : lines) {
    threads.emplace_back([&] { line = own_ssh_key(home, SshKeyUse::kMake)->line; });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  const auto key = own_ssh_key(home, SshKeyUse::kMake);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->private_path, home + "/id_ed25519");
  for (const auto& line : lines) {
    EXPECT_EQ(line, key->line);
  }
  struct stat info {};
  ASSERT_EQ(::stat(key->private_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(home.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  EXPECT_FALSE(std::filesystem::exists(home + "/id_ed25519.new"));
  const auto check = fmt::format("ssh-keygen -y -P '' -f {} | cut -d' ' -f1,2 >{}/again",
                                 key->private_path, folder_);
  ASSERT_EQ(::system(check.c_str()), 0);  // NOLINT: one thread by now
  std::ifstream again(folder_ + "/again");
  std::string line;
  std::getline(again, line);
  EXPECT_EQ(key->line.rfind(line, 0), 0U) << line;
}

TEST_F(SshKeys, OthersMustNotReadIt) {
  write("id_ed25519.pub", "ssh-ed25519 AAAA gpuvm\n");
  const auto path = write("id_ed25519", "private");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_NE(own_ssh_key(folder_, SshKeyUse::kMake).error().to_string().find("chmod 600"),
            std::string::npos);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(own_ssh_key(folder_, SshKeyUse::kMake));
}

}  // namespace
}  // namespace gpuvm::ssh_key_test
