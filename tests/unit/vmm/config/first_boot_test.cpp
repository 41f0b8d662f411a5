// SPDX-License-Identifier: Apache-2.0
// [credentials], [cloud_init] and ssh_key.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::first_boot_test {
namespace {

std::vector<std::string> names_of(const Result<Config>& config) {
  std::vector<std::string> names;
  if (config) {
    for (const auto& credential : config->credentials) {
      names.push_back(credential.name);
    }
  }
  return names;
}

TEST(Credentials, TextsAndFiles) {
  const auto config = parse_bootable(
      "[credentials]\n'firstboot.locale' = 'C.UTF-8'\nlines = \"a\\nb\\n\"\n"
      "'ssh.authorized_keys.root' = { file = 'me.pub' }\n");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->credentials,
            (std::vector<CredentialConfig>{
                {.name = "firstboot.locale", .text = "C.UTF-8", .file = {}},
                {.name = "lines", .text = "a\nb\n", .file = {}},
                {.name = "ssh.authorized_keys.root", .text = {}, .file = "/guests/me.pub"}}));
}

// TOML makes tables of dots without quotes, and so does --set.
TEST(Credentials, DotsWithoutQuotes) {
  const std::vector<std::string> expected{"a.b", "ssh.authorized_keys.root"};
  EXPECT_EQ(names_of(parse_bootable(
                "[credentials]\nssh.authorized_keys.root = { file = '/k' }\na.b = 'c'\n")),
            expected);
  EXPECT_EQ(names_of(parse_bootable(
                "", {"credentials.ssh.authorized_keys.root.file=/k", "credentials.a.b=c"})),
            expected);
  EXPECT_EQ(parse_bootable("[credentials]\nx.file = '/k'\n")->credentials[0].file, "/k");
  EXPECT_EQ(names_of(parse_bootable("[credentials]\n'x.file' = '/k'\n")),
            std::vector<std::string>{"x.file"});
  expect_error_contains(parse_bootable("[credentials]\n'a.b' = 'c'\na.b = 'd'\n"),
                        "is there twice, with its dots in quotes and without");
}

TEST(Credentials, WhatSystemdWouldNotTake) {
  for (const char* name : {"a b", "a:b", "a=b", "a/b", ".", "..", "", "\\u00e4"}) {
    expect_error_contains(parse_bootable(fmt::format("[credentials]\n\"{}\" = 'SECRET'\n", name)),
                          "is no name that systemd takes");
  }
  expect_error_contains(parse_bootable("[credentials]\n" + std::string(256, 'a') + " = 'x'\n"),
                        "is no name that systemd takes");
  expect_error(parse_bootable("[credentials]\na = 1\n"),
               "credentials.a must be \"TEXT\" or { file = \"PATH\" }, not an integer "
               "(guest.toml:3:5)");
  expect_error_contains(parse_bootable("[credentials]\na = {}\n"), "not an empty table");
  expect_error_contains(parse_bootable("[credentials]\na = { file = '' }\n"), "must not be empty");
  expect_error_contains(parse_bootable("credentials = 'x'\n"), "must be a table, [credentials]");
}

// Else "{ path = … }" would be a credential whose name ends in ".path".
TEST(Credentials, BracesHoldAFileAndNothingElse) {
  const std::string rule =
      "credentials.k must be \"TEXT\" or { file = \"PATH\" }, not a table with ";
  const std::string place = " (guest.toml:3:5)";
  for (const char* key : {"path", "File", "filename", "text"}) {
    expect_error(parse_bootable(fmt::format("[credentials]\nk = {{ {} = 'SECRET' }}\n", key)),
                 rule + key + place);
  }
  expect_error(parse_bootable("[credentials]\nk = { file = '/k', mode = 'x' }\n"),
               rule + "file and mode" + place);
  expect_error_contains(parse_bootable("[credentials]\nk = { file = 1 }\n"), rule + "file");
  expect_error_contains(parse_bootable("", {"credentials.k={path='/k'}"}),
                        "not a table with path (--set credentials.k={path='/k'})");
  // The section itself may be written so, and names with dots have none.
  EXPECT_EQ(names_of(parse_bootable("credentials = { a = 'b', 'c.d' = { file = '/k' } }\n")),
            (std::vector<std::string>{"a", "c.d"}));
  EXPECT_EQ(names_of(parse_bootable("[credentials]\na.path = 'b'\n[credentials.c]\nd = 'e'\n")),
            (std::vector<std::string>{"a.path", "c.d"}));
}

TEST(Credentials, AFilesNameIsNoText) {
  const auto result = parse_bootable("[credentials]\na.b = 'file:SECRET'\n");
  expect_error(
      result,
      "credentials.a.b begins with \"file:\", which is text here: write { file = \"PATH\" } "
      "for what is in a file, also for a text that begins so (guest.toml:3:7)");
  EXPECT_EQ(parse_bootable("[credentials]\na = 'afile:x'\n")->credentials[0].text, "afile:x");
}

// What reads the files knows no lines of the configuration.
TEST(FirstBoot, PlacesAreKeptForMessages) {
  const auto config = parse_bootable(
      "ssh_key = 'me.pub'\n[cloud_init]\nuser_data = 'u'\n[credentials]\na.b = { file = 'c' }\n");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->ssh_key->place.text, "ssh_key (guest.toml:2:11)");
  EXPECT_EQ(config->cloud_init->user_data_place.text, "cloud_init.user_data (guest.toml:4:13)");
  EXPECT_EQ(config->credentials[0].place.text, "credentials.a.b.file (guest.toml:6:16)");
  const auto changed =
      parse_bootable("[credentials]\na = { file = 'b' }\n",
                     {"cloud_init.meta_data=m", "ssh_key=auto", "credentials.a.file=c"});
  ASSERT_TRUE(changed) << changed.error().to_string();
  EXPECT_EQ(changed->cloud_init->meta_data_place.text,
            "cloud_init.meta_data (--set cloud_init.meta_data=m)");
  EXPECT_EQ(changed->ssh_key->place.text, "ssh_key (--set ssh_key=auto)");
  EXPECT_EQ(changed->credentials[0].place.text, "credentials.a.file (--set credentials.a.file=c)");
}

TEST(Credentials, AreBounded) {
  std::string many = "[credentials]\n";
  for (int i = 0; i < 64; ++i) {
    many += fmt::format("c{} = 'x'\n", i);
  }
  EXPECT_TRUE(parse_bootable(many));
  expect_error_contains(parse_bootable(many + "more = 'x'\n"),
                        "is one credential too many: at most 64");
}

// What prints a configuration may be a log.
TEST(Credentials, TextsAreNotPrinted) {
  const auto config = parse_bootable(
      "[credentials]\npassword = 'SECRET'\n'key.file' = 'SECRET'\nkey = { file = '/k' }\n");
  ASSERT_TRUE(config) << config.error().to_string();
  const auto text = to_toml(*config);
  EXPECT_EQ(text.find("SECRET"), std::string::npos) << text;
  EXPECT_NE(text.find("[credentials]\n\"key\" = { file = \"/k\" }\n"
                      "# \"key.file\" = a text, which is not shown\n"
                      "# \"password\" = a text, which is not shown\n"),
            std::string::npos)
      << text;
  const auto again = parse(text);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(names_of(again), std::vector<std::string>{"key"});
}

TEST(CloudInit, Files) {
  EXPECT_EQ(parse_bootable("")->cloud_init, std::nullopt);
  EXPECT_EQ(parse_bootable("[cloud_init]\n")->cloud_init, CloudInitConfig{});
  const auto config =
      parse_bootable("[cloud_init]\nuser_data = 'u'\nmeta_data = '/m'\nnetwork_config = '../n'\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->cloud_init,
            (CloudInitConfig{
                .user_data = "/guests/u", .meta_data = "/m", .network_config = "/guests/../n"}));
  EXPECT_EQ(parse(to_toml(*config))->cloud_init, config->cloud_init);
  for (const char* text : {"'#cloud-config'", "\"#!/bin/sh\\n\"", "\"a: 1\\nb: 2\""}) {
    expect_error_contains(parse_bootable(std::string("[cloud_init]\nuser_data = ") + text + "\n"),
                          "cloud_init.user_data must be the path of a file, not its text "
                          "(guest.toml:3:13): write that into a file");
  }
  expect_error_contains(parse_bootable("[cloud_init]\npackages = ['x']\n"),
                        "; that is a line of the file that cloud_init.user_data names");
  expect_error_contains(parse_bootable("[cloud_init]\nhostname = 'x'\n"),
                        "; did you mean name, above all sections?");
  expect_error_contains(parse_bootable("[cloud_init]\nuser-data = 'u'\n"),
                        "did you mean user_data?");
}

TEST(SshKey, AutoOrAPath) {
  EXPECT_EQ(parse_bootable("")->ssh_key, std::nullopt);
  EXPECT_EQ(parse_bootable("ssh_key = 'auto'")->ssh_key, SshKeyConfig{});
  EXPECT_EQ(parse_bootable("ssh_key = 'me.pub'")->ssh_key, SshKeyConfig{.path = "/guests/me.pub"});
  EXPECT_EQ(parse_bootable("", {"ssh_key=auto"})->ssh_key, SshKeyConfig{});
  expect_error_contains(parse_bootable("ssh_key = true"),
                        "ssh_key must be \"auto\" or the path of a public key");
  for (const char* key : {"ssh-ed25519 AAAAC3Nz me@host", "ssh-rsa AAAA", "ecdsa-sha2-nistp256 A",
                          "sk-ssh-ed25519@openssh.com AAAA me"}) {
    expect_error(
        parse_bootable(fmt::format("ssh_key = '{}'", key)),
        "ssh_key must be \"auto\" or the path of a public key, not the key itself "
        "(guest.toml:2:11): write it into a file, such as me.pub beside this one, and name "
        "that");
  }
  EXPECT_EQ(parse_bootable("ssh_key = 'ssh-key.pub'")->ssh_key->path, "/guests/ssh-key.pub");
  expect_error_contains(
      parse_bootable("ssh_key = '~/.ssh/id_ed25519.pub'"),
      "ssh_key begins with \"~\", which only a shell makes a home folder: write it "
      "out, as /home/me/…");
  for (const char* value : {"auto", "/me.pub"}) {
    const auto config = *parse_bootable(fmt::format("ssh_key = '{}'", value));
    EXPECT_EQ(parse(to_toml(config))->ssh_key, config.ssh_key);
  }
}

}  // namespace
}  // namespace gpuvm::first_boot_test
