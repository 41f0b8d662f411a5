// SPDX-License-Identifier: Apache-2.0
// [sandbox]: its words, and what goes together.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::sandbox_section_test {
namespace {

TEST(SandboxSection, IsOnByDefault) {
  const auto config = parse_bootable("");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->sandbox, SandboxConfig{});
  EXPECT_EQ(config->sandbox.mode, SandboxMode::kOn);
}

TEST(SandboxSection, Words) {
  EXPECT_EQ(parse_bootable("sandbox.mode = 'off'")->sandbox.mode, SandboxMode::kOff);
  EXPECT_EQ(parse_bootable("sandbox.mode = 'log'")->sandbox.mode, SandboxMode::kLog);
  expect_error_contains(parse_bootable("sandbox.mode = 'strict'"), "sandbox.mode must be");
  expect_error_contains(parse_bootable("sandbox.mode = true"), "sandbox.mode must be");
  expect_error_contains(parse_bootable("sandbox.mod = 'on'"), "mode");
  EXPECT_EQ(parse_bootable("")->sandbox.owner, OwnerPlace::kInside);
  EXPECT_EQ(parse_bootable("sandbox.owner = 'process'")->sandbox.owner, OwnerPlace::kProcess);
  EXPECT_EQ(parse_bootable("sandbox.owner = 'inside'")->sandbox.owner, OwnerPlace::kInside);
  EXPECT_EQ(parse_bootable("sandbox.owner = 'auto'")->sandbox.owner, OwnerPlace::kAuto);
  expect_error_contains(parse_bootable("sandbox.owner = 'root'"), "sandbox.owner must be");
}

TEST(SandboxSection, WhoItBecomes) {
  const auto config = parse_bootable("[sandbox]\nuser = 'gpuvm'\ngroup = 'kvm'");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->sandbox.user, "gpuvm");
  EXPECT_EQ(config->sandbox.group, "kvm");
  expect_error_contains(parse_bootable("sandbox.group = 'kvm'"), "without sandbox.user");
  EXPECT_EQ(parse_bootable("sandbox.helper_user = '4711'")->sandbox.helper_user, "4711");
}

TEST(SandboxSection, ALogOnlyInLogMode) {
  EXPECT_EQ(parse_bootable("[sandbox]\nmode = 'log'\nlog = '/tmp/calls'")->sandbox.log,
            "/tmp/calls");
  expect_error_contains(parse_bootable("sandbox.log = '/tmp/calls'"), "sandbox.mode = \"log\"");
}

}  // namespace
}  // namespace gpuvm::sandbox_section_test
