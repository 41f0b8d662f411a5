// SPDX-License-Identifier: Apache-2.0
// --set key=value.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::overrides_test {
namespace {

TEST(Overrides, ReplaceAndAdd) {
  const auto config = parse("boot.kernel = '/k'\n[machine]\ncpus = 2\n",
                            {"machine.cpus=4", "machine.memory=2GiB", "boot.cmdline=\"quiet\"",
                             "console.serial=[\"off\"]", "name=other"});
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->machine.cpus, 4U);
  EXPECT_EQ(config->machine.memory, 2_GiB);
  EXPECT_EQ(config->boot.cmdline, "quiet");
  EXPECT_TRUE(config->console.serial.empty());
  EXPECT_EQ(config->name, "other");
}

TEST(Overrides, LaterWins) {
  EXPECT_EQ(parse_bootable("", {"machine.cpus=4", "machine.cpus=5"})->machine.cpus, 5U);
}

TEST(Overrides, BareStrings) {
  const auto cmdline_of = [](const std::string& value) {
    const auto config = parse_bootable("", {"boot.cmdline=" + value});
    return config ? config->boot.cmdline : config.error().to_string();
  };
  EXPECT_EQ(cmdline_of("console=ttyS0 quiet"), "console=ttyS0 quiet");
  EXPECT_EQ(cmdline_of(""), "");
  EXPECT_EQ(cmdline_of("root=\"/dev/x y\""), "root=\"/dev/x y\"");
  EXPECT_EQ(cmdline_of("a\\b"), "a\\b");
  EXPECT_EQ(cmdline_of("'a = b'"), "a = b");
  EXPECT_EQ(cmdline_of("quiet # no comment"), "quiet # no comment");
}

TEST(Overrides, ListEntries) {
  const std::string text = "[[pci]]\nhost = '01:00.0'\n";
  EXPECT_FALSE(parse_bootable(text, {"pci.0.managed=false"})->pci[0].managed);
  const auto added = parse_bootable(text, {"pci.1.host=0000:02:00.0", "pci.1.port=3"});
  ASSERT_TRUE(added) << added.error().to_string();
  ASSERT_EQ(added->pci.size(), 2U);
  EXPECT_EQ(added->pci[1].host, (Bdf{0, 2, 0, 0}));
  EXPECT_EQ(added->pci[1].port, std::uint8_t{3});
  const auto first = parse_bootable("", {"pci.0.host=03:00.0"});
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->pci[0].host, (Bdf{0, 3, 0, 0}));
  const auto serial = parse_bootable("console.serial = ['stdio']", {"console.serial.0=pty"});
  EXPECT_EQ(serial->console.serial[0].kind, SerialTarget::Kind::kPty);
  EXPECT_EQ(parse_bootable("", {"pci=[{host='01:00.0'}]"})->pci.size(), 1U);
}

TEST(Overrides, ErrorsNameTheOverride) {
  expect_error(
      parse_bootable("[machine]\ncpus = 2", {"machine.cpus=x"}),
      "machine.cpus must be an integer from 1 to 255, not a string (--set machine.cpus=x)");
  expect_error(parse_bootable("", {"machine.cpu=2"}),
               "Unknown key machine.cpu (--set machine.cpu=2); did you mean cpus?");
  expect_error(parse_bootable("", {"machien.cpus=2"}),
               "Unknown key machien (--set machien.cpus=2); did you mean [machine]?");
  expect_error(parse_bootable("", {"name=7"}),
               "name must be a string, not an integer (--set name=7)");
  expect_error_contains(parse_bootable("", {"pci.1.host=01:00.0"}),
                        "an index from 0 to 0 is needed");
  expect_error_contains(parse_bootable("[[pci]]\nhost='01:00.0'", {"pci.x=1"}), "not x");
  expect_error_contains(parse_bootable("", {"boot.kernel.x=1"}), "below a value");
  expect_error_contains(parse_bootable("", {"console.serial=[\"off\""}), "not valid TOML");
  expect_error_contains(parse_bootable("", {"boot.cmdline=a\xff"}), "not text in UTF-8");
  expect_error_contains(parse_bootable("", {"boot.cmdline=a\nname='x'"}), "control characters");
}

TEST(Overrides, MalformedIsWrongUsage) {
  for (const char* text : {"", "=", "machine.cpus", "=4", ".cpus=4", "machine..cpus=4", "a b=4",
                           "machine.=4", "\"name\"=4", "a.b.c.d.e.f.g.h.i=4"}) {
    const auto result = parse_bootable("", {text});
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::kUsage) << text;
  }
  expect_error(parse_bootable("", {"cpus"}),
               "--set cpus is not of the form key=value, for instance machine.cpus=4 or "
               "pci.0.managed=false",
               ErrorKind::kUsage);
}

}  // namespace
}  // namespace gpuvm::overrides_test
