// SPDX-License-Identifier: Apache-2.0
// [control]
#include <gmock/gmock.h>

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::control_section_test {
namespace {

using testing::HasSubstr;

constexpr std::string_view kBoot = "[boot]\nkernel = '/k'\n";

Result<Config> parsed(const std::string& section) {
  return parse_config(std::string(kBoot) + section, {"main.toml", "/here", "main"});
}

std::string refused(const std::string& section) {
  const auto config = parsed(section);
  EXPECT_FALSE(config) << section;
  return config ? "" : config.error().to_string();
}

TEST(ControlSection, ASocketIsThereUnlessItIsTurnedOff) {
  EXPECT_EQ(parsed("")->control.socket, ControlConfig::Socket::kAuto);
  EXPECT_EQ(parsed("[control]\nsocket = 'auto'")->control.socket, ControlConfig::Socket::kAuto);
  EXPECT_EQ(parsed("[control]\nsocket = 'off'")->control.socket, ControlConfig::Socket::kOff);
  const auto at = parsed("[control]\nsocket = 'my.sock'\ngroup = 'kvm'");
  ASSERT_TRUE(at) << at.error().to_string();
  EXPECT_EQ(at->control.socket, ControlConfig::Socket::kPath);
  EXPECT_EQ(at->control.path, "/here/my.sock");
  EXPECT_EQ(at->control.group, "kvm");
}

TEST(ControlSection, WhatCannotBeIsRefusedWithItsPlace) {
  EXPECT_THAT(refused("[control]\nsocket = ''"), HasSubstr("control.socket must be"));
  EXPECT_THAT(refused("[control]\nsocket = true"), HasSubstr("main.toml:4"));
  EXPECT_THAT(refused("[control]\nsocket = '/" + std::string(107, 'x') + "'"), HasSubstr("107"));
  EXPECT_THAT(refused("[control]\ngroup = ''"), HasSubstr("control.group must be"));
  EXPECT_THAT(refused("[control]\ngroup = 'a:b'"), HasSubstr("control.group must be"));
  EXPECT_THAT(refused("[control]\nsocket = 'off'\ngroup = 'kvm'"), HasSubstr("is \"off\""));
  EXPECT_THAT(refused("[control]\npath = '/x'"), HasSubstr("control.path"));
}

// A socket named "on" would be made beside the configuration, where nobody looks for it.
TEST(ControlSection, AWordIsNoPath) {
  EXPECT_THAT(refused("[control]\nsocket = 'on'"), HasSubstr("\"auto\" is what you may mean"));
  EXPECT_THAT(refused("[control]\nsocket = 'none'"), HasSubstr("\"off\" is what you may mean"));
  EXPECT_THAT(refused("[control]\nsocket = '@gpuvm'"), HasSubstr("abstract socket"));
  EXPECT_THAT(refused("[control]\nsocket = 'unix:/run/x.sock'"), HasSubstr("without \"unix:\""));
  const std::string other = refused("[control]\nsocket = 'main'");
  EXPECT_THAT(other, HasSubstr("not \"main\""));
  EXPECT_THAT(other, HasSubstr("main.toml:4"));
  EXPECT_THAT(other, HasSubstr("\"./NAME\""));
  const auto beside = parsed("[control]\nsocket = './main'");
  ASSERT_TRUE(beside) << beside.error().to_string();
  EXPECT_EQ(beside->control.path, "/here/main");
}

TEST(ControlSection, IsWrittenOutAsItIsRead) {
  for (const auto* const section :
       {"", "[control]\nsocket = 'off'", "[control]\nsocket = '/x.sock'\ngroup = 'kvm'"}) {
    const auto config = parsed(section);
    ASSERT_TRUE(config) << section;
    const auto again = parse_config(to_toml(*config), {"again.toml", "/", "again"});
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(*again, *config) << section;
  }
}

}  // namespace
}  // namespace gpuvm::control_section_test
