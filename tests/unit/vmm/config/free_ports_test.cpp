// SPDX-License-Identifier: Apache-2.0
// [machine]: ports that are kept free for cards that come later, and what is reserved for those.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/base/units.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm::free_ports_test {
namespace {

using testing::HasSubstr;

Result<Config> parse(const std::string& machine, const std::string& rest = "sandbox.mode = 'off'") {
  return parse_config("boot.kernel = '/k'\n" + rest + "\n[machine]\n" + machine + "\n",
                      {"guest.toml", "/", "guest"}, {});
}
std::string error_of(const Result<Config>& config) {
  return config ? std::string() : config.error().to_string();
}

TEST(FreePorts, NoneUnlessWanted) {
  const auto config = parse("", "");
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->machine.free_ports, 0U);
  EXPECT_EQ(config->machine.reserve, 32_GiB);
}

TEST(FreePorts, UpToEight) {
  const auto config = parse("free_ports = 8\nreserve = '64GiB'\npin_memory = 'early'");
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->machine.free_ports, 8U);
  EXPECT_EQ(config->machine.reserve, 64_GiB);
  EXPECT_EQ(config->machine.pin_memory, PinMemory::kEarly);
  EXPECT_THAT(error_of(parse("free_ports = 9")), HasSubstr("free_ports"));
  EXPECT_THAT(error_of(parse("free_ports = -1")), HasSubstr("free_ports"));
}

TEST(FreePorts, CardsThatComeAreScrubbedByChoice) {
  EXPECT_EQ(parse("free_ports = 1")->machine.scrub, PciScrub::kOff);
  const auto config = parse("free_ports = 1\nscrub = 'vram'");
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->machine.scrub, PciScrub::kVram);
  EXPECT_THAT(error_of(parse("free_ports = 1\nscrub = 'all'")), HasSubstr("scrub"));
  EXPECT_THAT(error_of(parse("scrub = 'vram'")), HasSubstr("machine.free_ports"));
}

TEST(FreePorts, AReserveIsAPowerOfTwo) {
  for (const auto* const wrong :
       {"48GiB", "128MiB", "8TiB", "64", "", "64GiBs", "18446744073709551615GiB"}) {
    EXPECT_THAT(error_of(parse(std::string("reserve = '") + wrong + "'")),
                HasSubstr("power of two"))
        << wrong;
  }
  for (const auto* const right : {"256MiB", "1GiB", "4TiB"}) {
    EXPECT_TRUE(parse(std::string("reserve = '") + right + "'")) << right;
  }
}

TEST(FreePorts, NeedAMonitorThatKeepsItsRights) {
  for (const auto* const wrong : {"", "sandbox.mode = 'log'"}) {
    const auto error = error_of(parse("free_ports = 1", wrong));
    EXPECT_THAT(error, HasSubstr("sandbox.mode = \"off\"")) << wrong;
    EXPECT_THAT(error, HasSubstr("sandbox.owner = \"process\"")) << wrong;
  }
  EXPECT_TRUE(parse("free_ports = 1", "sandbox.mode = 'off'"));
}

TEST(FreePorts, OrAnOwnerThatKnowsWhichCardsMayCome) {
  const std::string cards = "free_ports = 1\nattachable = ['0000:41:00.0', '42:00.0']";
  for (const auto* const mode : {"on", "log", "off"}) {
    const auto owner = fmt::format("sandbox = {{ mode = '{}', owner = 'process' }}", mode);
    const auto config = parse(cards, owner);
    ASSERT_TRUE(config) << mode << ": " << error_of(config);
    ASSERT_EQ(config->machine.attachable.size(), 2U);
    EXPECT_EQ(config->machine.attachable[1].to_string(), "0000:42:00.0");
    EXPECT_THAT(error_of(parse("free_ports = 1", owner)), HasSubstr("needs machine.attachable"))
        << mode;
    const auto again = parse_config(to_toml(*config), {"dry-run", "/elsewhere", "x"});
    ASSERT_TRUE(again) << mode << ": " << error_of(again);
    EXPECT_EQ(*again, *config) << mode;
  }
  EXPECT_TRUE(parse(cards)) << "a list where this process takes cards itself";
  const std::string automatic = "sandbox.owner = 'auto'";
  EXPECT_TRUE(parse(cards, automatic));
  EXPECT_THAT(error_of(parse("free_ports = 1", automatic)), HasSubstr("machine.attachable"));
  EXPECT_TRUE(parse("free_ports = 1", "sandbox = { mode = 'off', owner = 'auto' }"));
}

TEST(FreePorts, AListNamesEachCardOnce) {
  for (const auto* const wrong :
       {"['0000:41:00.0', '0000:41:00.1']", "['41:00.0', '0000:41:00.0']"}) {
    EXPECT_THAT(error_of(parse(std::string("free_ports = 1\nattachable = ") + wrong)),
                HasSubstr("twice"))
        << wrong;
  }
  for (const auto* const wrong : {"['gpu']", "['']", "['/run/server']", "'0000:41:00.0'", "[1]"}) {
    EXPECT_THAT(error_of(parse(std::string("free_ports = 1\nattachable = ") + wrong)),
                HasSubstr("machine.attachable"))
        << wrong;
  }
  EXPECT_THAT(error_of(parse("attachable = ['0000:41:00.0']")), HasSubstr("machine.free_ports"));
  std::string many = "free_ports = 1\nattachable = [";
  for (unsigned bus = 0; bus < 17; ++bus) {
    many += fmt::format("'0000:{:02x}:00.0',", bus);
  }
  EXPECT_THAT(error_of(parse(many + "]")), HasSubstr("at most 16"));
}

}  // namespace
}  // namespace gpuvm::free_ports_test
