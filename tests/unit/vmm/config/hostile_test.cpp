// SPDX-License-Identifier: Apache-2.0
// Files that are no configuration: always a clean error of kind kConfig, in one line.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::hostile_test {
namespace {

std::string repeat(std::string_view text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += text;
  }
  return out;
}

class HostileFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "gpuvm-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  std::filesystem::path folder_;
};

TEST(HostileText, SyntaxErrorsHaveAPlace) {
  expect_error_contains(parse("name = \n"), "guest.toml:1:8: ");
  expect_error_contains(parse("a = 1\na = 2\n"), "guest.toml:2:");
  expect_error_contains(parse("[boot\n"), "guest.toml:1:");
}

TEST(HostileText, NotText) {
  expect_error(parse(std::string("a = 1\nb\0 = 2", 12)),
               "guest.toml:2 has a NUL byte; this is not a text file");
  expect_error_contains(parse("name = \"\xff\xfe\""), "guest.toml:");
  expect_error_contains(parse("name = \"\xed\xa0\x80\""), "guest.toml:");  // a surrogate
  expect_error_contains(parse("name = \"\xc0\xaf\""), "guest.toml:");      // overlong
  expect_error_contains(parse("\xff\xfe\x41"), "guest.toml:");
  expect_error_contains(parse("\x7f"
                              "ELF\x02\x01\x01"),
                        "guest.toml:");
}

// Stacks are finite: each of these would otherwise recurse once per byte or two.
TEST(HostileText, DeepNesting) {
  expect_error_contains(parse("a = " + repeat("[", 100'000)), "nested");
  expect_error_contains(parse("a = " + repeat("{a=", 100'000)), "nested");
  expect_error_contains(parse(repeat("a.", 400'000) + "a = 1"), "more than 200 dots");
  expect_error_contains(parse("[" + repeat("a.", 400'000) + "a]"), "more than 200 dots");
  expect_error_contains(parse("a = 1\n[[" + repeat("a.", 201) + "a]]"), "guest.toml:2 has more");
  expect_error_contains(parse(repeat("[[" + repeat("a.", 199) + "a]]\n", 100)), "Unknown key a");
  // Tables and lists in turns: a list may hold line ends, so the dots of a line do not bound it.
  expect_error_contains(parse(repeat("a = [\n{" + repeat("a.", 199), 1000)), "nested");
}

// What toml++ 3.3 asserts or takes for impossible, see tomlpp.hpp.
TEST(HostileText, WhatTheParserDoesNotExpect) {
  expect_error_contains(parse("[=]"), "guest.toml:1:");
  expect_error_contains(parse("[[ ]]"), "guest.toml:1:");
  expect_error_contains(parse("[a.=]"), "guest.toml:1:");
  expect_error_contains(parse("\u00e9 = 1"), "guest.toml:1:");
  expect_error_contains(parse("a = \u0340"), "guest.toml:1:");
}

TEST(HostileText, LongLinesAndNames) {
  expect_error_contains(parse("boot.kernel = '/k'\n" + std::string(100'000, 'a') + " = 1"), "...");
  expect_error_contains(parse_bootable("machine.memory = '" + std::string(100'000, '9') + "'"),
                        "...");
  expect_error_contains(parse_bootable("machine.cpus = " + std::string(1000, '9')), "guest.toml:2");
}

TEST_F(HostileFile, MissingNotRegularOrTooLarge) {
  const auto absent = (folder_ / "absent.toml").string();
  expect_error(load_config(absent), "Cannot open " + absent + ": No such file or directory");
  expect_error(load_config(folder_.string()),
               folder_.string() + " is not a regular file but a directory");
  const auto fifo = (folder_ / "fifo.toml").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_error(load_config(fifo), fifo + " is not a regular file");
  expect_error(load_config("/dev/null"), "/dev/null is not a regular file");
  const auto large = write("large.toml", "");
  ASSERT_EQ(::truncate(large.c_str(), 100 << 20), 0);
  expect_error_contains(load_config(large), "at most 1048576 are accepted");
  expect_error_contains(load_config(""), "Cannot open");
}

TEST_F(HostileFile, PathsStartAtTheFile) {
  const auto file = write("desk.toml", "boot.kernel = 'vmlinuz'\nboot.initrd = '../initrd'\n");
  const auto config = load_config(file);
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->name, "desk");
  EXPECT_EQ(config->boot.kernel, (folder_ / "vmlinuz").string());
  EXPECT_EQ(config->boot.initrd, folder_.string() + "/../initrd");
}

}  // namespace
}  // namespace gpuvm::hostile_test
