// SPDX-License-Identifier: Apache-2.0
// What a configuration becomes: strings for SMBIOS, and a volume that nobody can change.
#include "vmm/first_boot/first_boot.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gpuvm::first_boot_test {
namespace {

class FirstBoots : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/gpuvm-first-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    config_.name = "guest";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  std::string refusal() const {
    const auto first_boot = open_first_boot(config_, SshKeyUse::kLook);
    return first_boot ? "" : first_boot.error().to_string();
  }

  std::string folder_;
  Config config_;
};

TEST_F(FirstBoots, NothingAskedFor) {
  const auto first_boot = open_first_boot(config_, SshKeyUse::kMake);
  ASSERT_TRUE(first_boot);
  EXPECT_TRUE(first_boot->oem_strings.empty());
  EXPECT_FALSE(first_boot->volume);
  EXPECT_EQ(first_boot->ssh_key, "");
}

TEST_F(FirstBoots, TextsAndFiles) {
  config_.credentials = {{.name = "a", .text = "b", .file = {}},
                         {.name = "c", .text = {}, .file = write("c", "d\n")}};
  const auto first_boot = open_first_boot(config_, SshKeyUse::kLook);
  ASSERT_TRUE(first_boot);
  EXPECT_EQ(first_boot->oem_strings,
            (std::vector<std::string>{"io.systemd.credential:a=b",
                                      "io.systemd.credential.binary:c=ZAo="}));
  config_.credentials[1].file = folder_ + "/absent";
  EXPECT_EQ(refusal().rfind("credentials.c: Cannot open " + folder_ + "/absent", 0), 0U)
      << refusal();
  config_.credentials[1].file = write("large", std::string(40000, 's'));
  EXPECT_EQ(refusal().rfind("credentials.c: ", 0), 0U) << refusal();
  EXPECT_EQ(refusal().find("sss"), std::string::npos);
}

// Beside the user's own keys, by both ways.
TEST_F(FirstBoots, KeyForSystemdAndCloudInit) {
  config_.ssh_key = SshKeyConfig{.path = write("me.pub", "ssh-ed25519 AAAA me\n")};
  config_.cloud_init = CloudInitConfig{};
  auto first_boot = open_first_boot(config_, SshKeyUse::kLook);
  ASSERT_TRUE(first_boot);
  EXPECT_EQ(first_boot->oem_strings,
            (std::vector<std::string>{"io.systemd.credential.binary:ssh.authorized_keys.root="
                                      "c3NoLWVkMjU1MTkgQUFBQSBtZQo="}));
  ASSERT_TRUE(first_boot->volume);
  config_.credentials = {{.name = "ssh.authorized_keys.root", .text = "k", .file = {}}};
  first_boot = open_first_boot(config_, SshKeyUse::kLook);
  EXPECT_EQ(first_boot->oem_strings,
            (std::vector<std::string>{"io.systemd.credential.binary:ssh.authorized_keys.root="
                                      "awpzc2gtZWQyNTUxOSBBQUFBIG1lCg=="}));
}

TEST_F(FirstBoots, TheVolumeIsSealed) {
  config_.cloud_init = CloudInitConfig{.user_data = write("u", "#!/bin/sh\n")};
  const auto first_boot = open_first_boot(config_, SshKeyUse::kLook);
  ASSERT_TRUE(first_boot);
  const int fd = first_boot->volume.get();
  struct stat info {};
  ASSERT_EQ(::fstat(fd, &info), 0);
  EXPECT_GT(info.st_size, 0);
  EXPECT_EQ(info.st_size % 512, 0);
  EXPECT_LT(::pwrite(fd, "x", 1, 0), 0);
  EXPECT_NE(::ftruncate(fd, 0), 0);
  EXPECT_NE(::ftruncate(fd, info.st_size + 512), 0);
}

TEST_F(FirstBoots, BadUserDataHasKeyFileAndLine) {
  config_.cloud_init = CloudInitConfig{.user_data = write("u", "#cloud-config\na: [\n")};
  EXPECT_EQ(refusal().rfind("cloud_init.user_data: " + folder_ + "/u:3:1: ", 0), 0U) << refusal();
  config_.cloud_init->user_data = folder_ + "/absent";
  EXPECT_EQ(refusal().rfind("cloud_init.user_data: Cannot open", 0), 0U) << refusal();
  config_.cloud_init->user_data = folder_;
  EXPECT_NE(refusal().find("a directory"), std::string::npos) << refusal();
}

// Where the configuration says it, as for all else that it says.
TEST_F(FirstBoots, ErrorsHaveThePlace) {
  config_.ssh_key = SshKeyConfig{.path = folder_ + "/absent", .place = {"ssh_key (g.toml:1:11)"}};
  EXPECT_EQ(refusal().rfind("ssh_key (g.toml:1:11): Cannot open " + folder_, 0), 0U) << refusal();
  config_.ssh_key = SshKeyConfig{.path = write("private", "-----BEGIN PRIVATE KEY-----\n")};
  EXPECT_EQ(refusal().rfind("ssh_key: " + folder_ + "/private is a private key", 0), 0U)
      << refusal();
  config_.ssh_key.reset();
  config_.cloud_init = CloudInitConfig{.user_data = write("u", "no YAML, no script"),
                                       .user_data_place = {"cloud_init.user_data (g.toml:4:13)"}};
  EXPECT_EQ(refusal().rfind("cloud_init.user_data (g.toml:4:13): " + folder_ + "/u begins", 0), 0U)
      << refusal();
  config_.cloud_init = CloudInitConfig{.meta_data = folder_ + "/absent",
                                       .meta_data_place = {"cloud_init.meta_data (g.toml:5:13)"}};
  EXPECT_EQ(refusal().rfind("cloud_init.meta_data (g.toml:5:13): Cannot open", 0), 0U) << refusal();
  config_.cloud_init.reset();
  config_.credentials = {{.name = "a",
                          .text = {},
                          .file = folder_ + "/absent",
                          .place = {"credentials.a (g.toml:7:5)"}}};
  EXPECT_EQ(refusal().rfind("credentials.a (g.toml:7:5): Cannot open", 0), 0U) << refusal();
}

TEST_F(FirstBoots, BadFilesMakeNobodyAKey) {
  ASSERT_EQ(::setenv("XDG_STATE_HOME", folder_.c_str(), 1), 0);  // NOLINT: one thread
  config_.ssh_key = SshKeyConfig{};
  config_.cloud_init = CloudInitConfig{.user_data = write("u", "no YAML, no script")};
  EXPECT_FALSE(open_first_boot(config_, SshKeyUse::kMake));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/gpuvm"));
}

TEST_F(FirstBoots, ShownWithoutContents) {
  config_.credentials = {{.name = "a", .text = "secret", .file = {}},
                         {.name = "b", .text = {}, .file = "/f"}};
  config_.cloud_init = CloudInitConfig{.user_data = "/u"};
  config_.ssh_key = SshKeyConfig{};
  InspectNode node;
  describe_first_boot(config_, node);
  EXPECT_EQ(node.get("credentials"), "a, b");
  EXPECT_EQ(node.get("cloud_init"), "user_data /u, meta_data made, network_config none");
  EXPECT_EQ(node.get("ssh_key"), "the user's own for gpuvm");
  EXPECT_EQ(node.to_json().find("secret"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::first_boot_test
