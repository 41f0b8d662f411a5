// SPDX-License-Identifier: Apache-2.0
// Words of shell scripts, by what becomes of the kernel's command line and name in them.
#include "tests/unit/vmm/convert/convert_test_support.hpp"

namespace gpuvm::shell_text_test {
namespace {

using test::config_of;
using test::converted;
using test::refusal;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kStart = "qemu-system-x86_64 -m 1G -smp 1 -kernel /k -append ";

std::string cmdline_of(const std::string& word, const std::string& before = "") {
  return config_of(before + std::string(kStart) + word).boot.cmdline;
}

TEST(ShellText, QuotesAndEscapesGo) {
  EXPECT_EQ(cmdline_of("'a \"b\" $c'"), "a \"b\" $c");
  EXPECT_EQ(cmdline_of("\"a \\\"b\\\" \\x\""), "a \"b\" \\x");
  EXPECT_EQ(cmdline_of("a\\ b'c'\"d\""), "a bcd");
}

TEST(ShellText, LinesGoOnAndCommentsEnd) {
  EXPECT_EQ(cmdline_of("a \\\n -name one\n"), "a");
  EXPECT_EQ(cmdline_of("a \\\r\n -name one\r\n"), "a");
  EXPECT_EQ(cmdline_of("a#b # c"), "a#b");
}

TEST(ShellText, VariablesOfTheScriptArePutIn) {
  EXPECT_EQ(cmdline_of("\"$A ${B}c ${C:-d}\"", "A=1 B='2 3'\nB+=4\n"), "1 2 34c d");
  EXPECT_EQ(cmdline_of("x$A", "export A=1\n"), "x1");
  EXPECT_EQ(config_of("O='-smp 2'\nqemu-kvm -m 1G -kernel /k $O").machine.cpus, 2U);
}

TEST(ShellText, ArraysArePutIn) {
  const auto config = config_of(
      "O=( -m 2G  # how much\n -smp 2 )\nO+=( -append 'a b' )\nkvm -kernel /k \"${O[@]}\"");
  EXPECT_EQ(config.machine.memory, 2_GiB);
  EXPECT_EQ(config.boot.cmdline, "a b");
}

TEST(ShellText, WhatOnlyAShellKnowsIsTold) {
  const auto text = converted("kvm -m $RAM -smp $(nproc --all) -kernel $HOME/k");
  EXPECT_THAT(text, HasSubstr("# $RAM (line 1): gpuvm convert cannot know"));
  EXPECT_THAT(text, HasSubstr("# $(nproc --all) (line 1)"));
  EXPECT_THAT(text, HasSubstr("kernel = \"./$HOME/k\""));
}

TEST(ShellText, ArgumentsOfTheScriptAreNoDisks) {
  EXPECT_TRUE(config_of("kvm -m 1G -smp 1 -kernel /k \"$@\"").disks.empty());
  EXPECT_EQ(config_of("kvm -m 1G -smp 1 -kernel /k disk.img").disks.size(), 1U);
}

TEST(ShellText, OtherCommandsAreLeftOut) {
  const auto config = config_of(
      "modprobe vfio-pci && sudo -E qemu-system-x86_64 -m 2G -smp 1 -kernel /k >log 2>&1 &\necho "
      "-m 3G");
  EXPECT_EQ(config.machine.memory, 2_GiB);
  EXPECT_TRUE(config.disks.empty());
  EXPECT_THAT(converted("kvm -m 1G -smp 1 -kernel /k\nkvm -m 2G\n"),
              HasSubstr("# another command (line 2)"));
}

TEST(ShellText, AQuoteWithoutEndHasAPlace) {
  EXPECT_THAT(refusal("kvm \\\n  -name 'a"), HasSubstr("input:2:9: this quote ' has no end"));
}

TEST(ShellText, EndsForWhatNeverWould) {
  std::string script = "A=xxxxxxxxxx\n";
  for (int i = 0; i < 40; ++i) {
    script += "A=\"$A$A\"\n";
  }
  EXPECT_THAT(converted(script + "kvm -m 1G -smp 1 -kernel /k"), Not(HasSubstr("xxxx")));
}

}  // namespace
}  // namespace gpuvm::shell_text_test
