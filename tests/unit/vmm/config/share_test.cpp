// SPDX-License-Identifier: Apache-2.0
// [vsock], [[share]] and console.virtio: what is read, and what is refused with which words.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::share_test {
namespace {

TEST(Vsock, OnlyWithItsSection) {
  EXPECT_FALSE(parse_bootable("")->vsock.has_value());
  EXPECT_EQ(parse_bootable("[vsock]\n")->vsock, VsockConfig{});
  EXPECT_EQ(parse_bootable("[vsock]\n")->vsock->place.text, "vsock (guest.toml:2:1)");
  EXPECT_EQ(parse_bootable("", {"vsock.cid=7"})->vsock->place.text, "vsock (--set vsock.cid=7)");
  EXPECT_EQ(parse_bootable("[vsock]\ncid = 'auto'\n")->vsock, VsockConfig{});
  EXPECT_EQ(parse_bootable("[vsock]\ncid = 3\n")->vsock, VsockConfig{.cid = 3});
  EXPECT_EQ(parse_bootable("[vsock]\ncid = 4294967294\n")->vsock, VsockConfig{.cid = 4294967294});
}

// 0 to 2 have meanings of their own, and so have all ones (VIRTIO 1.2, 5.10.4).
TEST(Vsock, AddressesThatNoGuestCanHave) {
  for (const char* text : {"0", "2", "-1", "4294967295", "4294967296", "true", "1.5"}) {
    expect_error_contains(parse_bootable(std::string("[vsock]\ncid = ") + text),
                          "vsock.cid must be");
  }
  expect_error_contains(
      parse_bootable("[vsock]\ncid = 'any'"),
      "vsock.cid must be \"auto\" or a number from 3 to 4294967294, not \"any\" (guest.toml:3:7)");
}

TEST(Share, IsAFolderWithATag) {
  const auto config = parse_bootable(
      "[[share]]\npath = 'data'\ntag = 'Data-1_x.y'\n[[share]]\npath = '/'\ntag = 'root'\nreadonly "
      "= true\n");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->shares.size(), 2U);
  EXPECT_TRUE(config->shares[0].path.ends_with("/data"));
  EXPECT_EQ(config->shares[0].tag, "Data-1_x.y");
  EXPECT_FALSE(config->shares[0].read_only);
  EXPECT_EQ(config->shares[0].place.text, "share.0 (guest.toml:2:1)");
  EXPECT_EQ(config->shares[1].path, "/");
  EXPECT_TRUE(config->shares[1].read_only);
}

TEST(Share, WhatIsMissingOrWrong) {
  expect_error_contains(parse_bootable("[[share]]\ntag = 'a'"),
                        "share.0.path is missing: name a folder of this host");
  expect_error_contains(parse_bootable("[[share]]\npath = '/'"),
                        "share.0.tag is missing: it is 1 to 36");
  for (const char* tag : {"", "a b", "a/b", "ä", "0123456789012345678901234567890123456"}) {
    expect_error_contains(parse_bootable("[[share]]\npath = '/'\ntag = '" + std::string(tag) + "'"),
                          "share.0.tag must be 1 to 36 characters");
  }
}

TEST(Share, NoTagTwiceAndNoMoreThanEight) {
  expect_error_contains(
      parse_bootable("[[share]]\npath = '/a'\ntag = 't'\n[[share]]\npath = '/b'\ntag = 't'\n"),
      "share.1.tag is that of share.0 already: take another one (guest.toml:7:7)");
  std::string many;
  for (char tag = 'a'; tag < 'a' + 8; ++tag) {
    many += std::string("[[share]]\npath = '/'\ntag = '") + tag + "'\n";
  }
  EXPECT_TRUE(parse_bootable(many));
  expect_error_contains(parse_bootable(many + "[[share]]\npath = '/'\ntag = 'i'\n"),
                        "at most 8 [[share]] are accepted");
}

TEST(VirtioConsole, IsNotThereUnlessAskedFor) {
  EXPECT_TRUE(parse_bootable("")->console.virtio.empty());
  EXPECT_TRUE(parse_bootable("console.virtio = ['off']")->console.virtio.empty());
  const auto config = parse_bootable("console = { serial = ['pty'], virtio = ['stdio', 'pty'] }");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->console.virtio.size(), 2U);
}

// What is typed can go to one of the two only.
TEST(VirtioConsole, SharesNoPlaceWithTheSerialPort) {
  expect_error_contains(parse_bootable("console.virtio = ['stdio']"),
                        "console.virtio names \"stdio\", where the serial port is: set "
                        "console.serial to [\"off\"] or another place");
  expect_error_contains(
      parse_bootable("console = { serial = ['file:/a/b'], virtio = ['file:/a/./b'] }"),
      "where the serial port is: take another path");
  expect_error_contains(parse_bootable("console.virtio = ['serial']"), "console.virtio must be");
}

TEST(Rng, IsThereUnlessUnwanted) {
  EXPECT_TRUE(parse_bootable("")->machine.rng);
  EXPECT_FALSE(parse_bootable("machine.rng = false")->machine.rng);
}

}  // namespace
}  // namespace gpuvm::share_test
