// SPDX-License-Identifier: Apache-2.0
// [[disk]]: what is read, and what is wrong with it.
#include "vmm/config/config.hpp"

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::disk_section_test {
namespace {

TEST(Disks, AreReadInOrder) {
  const auto config =
      parse_bootable("[[disk]]\npath = 'a.img'\n[[disk]]\npath='/dev/b'\nreadonly=true");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->disks.size(), 2U);
  EXPECT_EQ(config->disks[0], (DiskConfig{.path = "/guests/a.img"}));
  EXPECT_EQ(config->disks[1], (DiskConfig{.path = "/dev/b", .read_only = true}));
}

TEST(Disks, WhatIsWrongWithThem) {
  expect_error_contains(parse_bootable("[[disk]]\nreadonly = true"), "disk.0.path is missing");
  expect_error_contains(parse_bootable("[[disk]]\npath = 'a'\nread_only = true"),
                        "Unknown key disk.0.read_only");
  expect_error_contains(parse_bootable("[[disk]]\npath = 'a'\n[[disk]]\npath = '/guests/a'"),
                        "disk.1.path is already given by disk.0");
  expect_error_contains(parse_bootable("[[disk]]\npath = 'a'\nboot = true"),
                        "disk.0.boot needs a boot.mode that starts from disks");
  std::string text;
  for (unsigned i = 0; i < 8; ++i) {
    text += "[[disk]]\npath = 'd" + std::to_string(i) + "'\n";
  }
  EXPECT_TRUE(parse_bootable(text));
  expect_error_contains(parse_bootable(text + "[[disk]]\npath = 'more'"),
                        "disk.8.path is in one section too many: at most 8 [[disk]] are accepted");
}

TEST(Disks, WhatTheyAreAndMay) {
  const auto config = parse_bootable(
      "[[disk]]\npath = '/b'\nserial = 'root-1'\n"
      "[[disk]]\npath = '/a'\nformat = 'qcow2'\nthrowaway = true\n"
      "cache = 'none'\ndiscard = false\nqueues = 2\n"
      "throttle = { iops = 500, bandwidth = '20MiB' }");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->disks[1], (DiskConfig{.path = "/a",
                                          .format = DiskFormat::kQcow2,
                                          .throwaway = true,
                                          .cache = DiskCache::kNone,
                                          .discard = false,
                                          .queues = 2,
                                          .throttle = {.iops = 500, .bandwidth = 20_MiB}}));
  EXPECT_EQ(serial_of(config->disks[0], 3), "root-1");
  EXPECT_EQ(serial_of({.path = "/a"}, 3), "gpuvm-disk-3");
}

TEST(Disks, ValuesThatCannotBe) {
  const auto disk = [](const char* keys) {
    return parse_bootable(fmt::format("[[disk]]\npath = 'a'\n{}", keys));
  };
  expect_error_contains(disk("format = 'iso'"), "disk.0.format must be");
  expect_error_contains(disk("cache = 'directsync'"), "disk.0.cache must be");
  expect_error_contains(disk("serial = ''"), "disk.0.serial must be 1 to 20 of the characters");
  expect_error_contains(disk("serial = 'with space'"), "disk.0.serial must be");
  expect_error_contains(disk("serial = '123456789012345678901'"), "disk.0.serial must be");
  expect_error_contains(disk("queues = 0"), "disk.0.queues must be");
  expect_error_contains(disk("queues = 17"), "disk.0.queues must be");
  expect_error_contains(disk("throttle = { iops = 0 }"), "disk.0.throttle.iops must be");
  expect_error_contains(disk("throttle = { bandwidth = '10' }"),
                        "disk.0.throttle.bandwidth must be what goes in a second");
  expect_error_contains(disk("throttle = { bandwidth = '0MiB' }"), "throttle.bandwidth must be");
  expect_error_contains(disk("throttle = { bandwidth = '100MB' }"), "; did you mean \"100MiB\"?");
  expect_error_contains(disk("throttle = { bps = 5 }"), "Unknown key disk.0.throttle.bps");
  expect_error_contains(disk("throwaway = true\nreadonly = true"),
                        "disk.0.throwaway does not go with readonly");
}

// What qemu-storage-daemon, which serves them, does not do.
TEST(Disks, WhatServedOnesCannotHave) {
  const auto disk = [](const char* keys) {
    return parse_bootable(fmt::format("[[disk]]\npath = 'a'\n{}", keys));
  };
  for (const char* format : {"vmdk", "vdi", "vhdx"}) {
    expect_error(
        disk(fmt::format("format = '{}'\nthrowaway = true", format).c_str()),
        fmt::format("disk.0.throwaway needs a raw or a qcow2 image, not format = \"{}\": make "
                    "one of it (qemu-img convert -O qcow2 OLD NEW) (guest.toml:5:13)",
                    format));
  }
  for (const char* keys : {"serial = 's'\nformat = 'qcow2'", "serial = 's'\nthrowaway = true"}) {
    expect_error_contains(
        disk(keys), "disk.0.serial cannot be given to a disk that qemu-storage-daemon serves");
    expect_error_contains(disk(keys), "(guest.toml:4:10)");
  }
  EXPECT_TRUE(is_served({.path = "/a", .format = DiskFormat::kVdi}));
  EXPECT_TRUE(is_served({.path = "/a", .throwaway = true}));
  EXPECT_FALSE(is_served({.path = "/a", .read_only = true}));
  // Its guest does not read the default either.
  EXPECT_TRUE(parse_bootable(
      "[[disk]]\npath='a'\nserial='gpuvm-disk-1'\n[[disk]]\npath='b'\nthrowaway=true"));
}

// Two disks of one serial number are one to udev: /dev/disk/by-id/virtio-SERIAL.
TEST(Disks, SerialsDiffer) {
  expect_error_contains(
      parse_bootable("[[disk]]\npath='a'\nserial='s'\n[[disk]]\npath='b'\nserial='s'"),
      "disk.1.serial is \"s\", as that of disk.0 is already: give each its own");
  expect_error_contains(
      parse_bootable("[[disk]]\npath='a'\nserial='gpuvm-disk-1'\n[[disk]]\npath='b'"),
      "disk.1.serial is \"gpuvm-disk-1\"");
}

}  // namespace
}  // namespace gpuvm::disk_section_test
