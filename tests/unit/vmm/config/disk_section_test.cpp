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
  EXPECT_EQ(config->disks[0], (DiskConfig{"/guests/a.img", false, false}));
  EXPECT_EQ(config->disks[1], (DiskConfig{"/dev/b", true, false}));
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

}  // namespace
}  // namespace gpuvm::disk_section_test
