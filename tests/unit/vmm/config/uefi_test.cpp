// SPDX-License-Identifier: Apache-2.0
// [boot] mode = "uefi" and [[fw_cfg]].
#include <gtest/gtest.h>

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::uefi_test {
namespace {

Result<Config> parse_uefi(const std::string& boot, const std::string& rest = "") {
  return parse("[boot]\nmode = 'uefi'\n" + boot + "\n" + rest);
}

const std::string kFiles = "firmware = 'code.fd'\nvars = 'v/guest.vars'\n";

TEST(Uefi, NeedsFirmwareAndVarsButNoKernel) {
  const auto config = parse_uefi(kFiles + "vars_template = '/t.fd'\nfirmware_log = 'log'");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->boot.firmware, "/guests/code.fd");
  EXPECT_EQ(config->boot.vars, "/guests/v/guest.vars");
  EXPECT_EQ(config->boot.vars_template, "/t.fd");
  EXPECT_EQ(config->boot.firmware_log, "/guests/log");
  EXPECT_EQ(config->boot.kernel, "");
  expect_error_contains(parse_uefi("vars = 'v'"), "boot.firmware is missing");
  expect_error_contains(parse_uefi("firmware = 'c'"), "boot.vars is missing");
}

TEST(Uefi, InitrdAndCommandLineGoWithAKernel) {
  EXPECT_TRUE(parse_uefi(kFiles + "kernel = 'k'\ninitrd = 'i'\ncmdline = 'c'"));
  expect_error_contains(parse_uefi(kFiles + "initrd = 'i'"), "boot.initrd goes with a kernel");
  expect_error_contains(parse_uefi(kFiles + "cmdline = 'c'"), "boot.cmdline goes with a kernel");
}

TEST(Uefi, ItsKeysBelongToNoOtherMode) {
  for (const char* key : {"firmware", "vars_template", "firmware_log"}) {
    expect_error_contains(parse(std::string("[boot]\nkernel = '/k'\n") + key + " = 'x'"),
                          std::string("boot.") + key + " belongs to mode = \"uefi\"");
  }
  expect_error_contains(parse("[boot]\nkernel = '/k'\nvars = 'x'"), "boot.vars belongs to");
  expect_error_contains(parse_bootable("[[fw_cfg]]\nname = 'opt/a'\nvalue = 'string:'"),
                        "fw_cfg belongs to boot.mode = \"uefi\"");
}

TEST(Uefi, StartsFromADisk) {
  EXPECT_TRUE(parse_uefi(kFiles, "[[disk]]\npath = 'd'\nboot = true"));
}

TEST(FwCfgItems, AreTextOrFiles) {
  const auto config = parse_uefi(kFiles,
                                 "[[fw_cfg]]\nname = 'opt/org.example/a'\nvalue = 'string:x y'\n"
                                 "[[fw_cfg]]\nname = 'opt/b'\nvalue = 'file:b.bin'\n");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->fw_cfg.size(), 2U);
  EXPECT_EQ(config->fw_cfg[0],
            (FwCfgConfig{.name = "opt/org.example/a", .text = "x y", .file = {}}));
  EXPECT_EQ(config->fw_cfg[1], (FwCfgConfig{.name = "opt/b", .text = {}, .file = "/guests/b.bin"}));
}

TEST(FwCfgItems, WhatIsWrongWithThem) {
  const auto error = [](const std::string& name, const std::string& value, std::string_view part) {
    expect_error_contains(
        parse_uefi(kFiles, "[[fw_cfg]]\nname = '" + name + "'\nvalue = '" + value + "'\n"), part);
  };
  error("etc/e820", "string:", "fw_cfg.0.name must be \"opt/\"");
  error("opt/", "string:", "fw_cfg.0.name must be");
  error("opt/a b", "string:", "fw_cfg.0.name must be");
  error("opt/" + std::string(52, 'n'), "string:", "fw_cfg.0.name must be");
  error("opt/a", "x", "fw_cfg.0.value must be \"string:TEXT\" or \"file:PATH\"");
  error("opt/a", "file:", "fw_cfg.0.value must be");
  const std::string item = "[[fw_cfg]]\nname = 'opt/a'\nvalue = 'string:'\n";
  expect_error_contains(parse_uefi(kFiles, item + item),
                        "fw_cfg.1.name \"opt/a\" is there already");
}

}  // namespace
}  // namespace gpuvm::uefi_test
