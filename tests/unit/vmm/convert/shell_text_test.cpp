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

TEST(ShellText, ArraysHaveItemsAndKeys) {
  EXPECT_EQ(cmdline_of("\"${A[1]}${A[0]} ${M[gpu]}\"", "A=(x 'y z')\ndeclare -A M\nM[gpu]=g\n"),
            "y zx g");
  EXPECT_EQ(cmdline_of("\"$A\"", "A=(x y)\n"), "x");
  EXPECT_THAT(converted(std::string(kStart) + "\"${A[7]}\""), HasSubstr("# ${A[7]} (line 1)"));
}

TEST(ShellText, DefaultsHaveVariables) {
  EXPECT_EQ(cmdline_of("\"${A:-x${B}y}${C:+z}${B:+w}\"", "B=1\n"), "x1yw");
  EXPECT_EQ(cmdline_of("\"5$ $'q'\""), "5$ $'q'");
}

TEST(ShellText, SumsAreCalculated) {
  EXPECT_EQ(config_of("C=3\nqemu-kvm -kernel /k -m $((C * (1024 - 512) + 512)) -smp $((C-1))")
                .machine.memory,
            2_GiB);
  EXPECT_THAT(converted("qemu-kvm -kernel /k -smp 1 -m $((RAM*2))"),
              HasSubstr("# $((RAM*2)) (line 1)"));
  EXPECT_THAT(converted("qemu-kvm -kernel /k -smp 1 -m $((1/0))"), HasSubstr("# $((1/0))"));
}

TEST(ShellText, TextsThatAreCommandsAreRead) {
  for (const auto* const script : {"CMD=\"qemu-kvm -m 2G -smp 2\"\neval \"$CMD -kernel /k\"",
                                   "sudo sh -c 'exec qemu-kvm -m 2G -smp 2 -kernel /k'",
                                   "tmux new -d \"qemu-kvm -m 2G -smp 2 -kernel /k\"",
                                   "eval \"eval 'qemu-kvm -m 2G -smp 2 -kernel /k'\"",
                                   "Q=/usr/bin/qemu-system-x86_64\n$Q -m 2G -smp 2 -kernel /k"}) {
    EXPECT_EQ(config_of(script).machine.cpus, 2U) << script;
  }
}

TEST(ShellText, HereDocumentsAreNoCommands) {
  const auto text = converted(
      "cat <<EOF >a\nit's kvm -m 9G\nEOF\ncat <<-'X'\n\t<domain>\n\tX\nkvm -m 2G -smp 2 -kernel "
      "/k\n");
  EXPECT_THAT(text, HasSubstr("memory = \"2GiB\""));
  EXPECT_THAT(text, HasSubstr("# <<X (line 4): a here-document with a guest is not read"));
}

TEST(ShellText, WhatStandsBelowConditionsIsTold) {
  const auto text = converted(
      "if [ -e /x ]; then\n  M=2G\nelse\n  M=4G\nfi\n[ -z $Y ] && C=2\n"
      "kvm -m $M -smp $C -kernel /k\n");
  EXPECT_THAT(text, HasSubstr("memory = \"4GiB\""));
  EXPECT_THAT(text,
              HasSubstr("# $M (line 7): the script sets it below a condition or loop (line 1)"));
  EXPECT_THAT(text,
              HasSubstr("# $C (line 7): the script sets it below a condition or loop (line 6)"));
}

TEST(ShellText, OnlyWhatReachesQemuIsTold) {
  const auto text =
      converted("D=$(date)\nM=$(free)\necho \"$D\" $USER\nkvm -m $M -smp 1 -kernel /k");
  EXPECT_THAT(text, HasSubstr("# $(free) (line 2): gpuvm convert cannot know"));
  EXPECT_THAT(text, Not(HasSubstr("date")));
  EXPECT_THAT(text, Not(HasSubstr("$USER")));
}

TEST(ShellText, TheCommandThatStartsAGuestIsTaken) {
  EXPECT_EQ(config_of("command -v qemu-system-x86_64 || exit\nqemu-system-x86_64 --version\n"
                      "echo qemu-system-x86_64 -m 9G\npkill qemu-system-x86_64\n"
                      "kvm -m 2G -smp 2 -kernel /k")
                .machine.cpus,
            2U);
}

TEST(ShellText, WhatStandsBeforeQemuIsTold) {
  const auto text = converted("sudo A=1 taskset -c 0-3 kvm -m 1G -smp 1 -kernel /k >log");
  EXPECT_THAT(text, HasSubstr("# sudo A=1 taskset -c 0-3 (line 1): this stands before QEMU"));
  EXPECT_THAT(converted("sudo kvm -m 1G -smp 1 -kernel /k"), Not(HasSubstr("stands before")));
}

TEST(ShellText, TornLinesAreTold) {
  const auto torn = converted("kvm -m 1G -smp 1 \\\n  -kernel /k \\\n  # -name a \\\n  -name b\n");
  EXPECT_THAT(torn, HasSubstr("# -name and what follows (line 4): for a shell the command ended"));
  const auto spaced = converted("kvm -m 1G -smp 1 \\ \n  -kernel /k\n");
  EXPECT_THAT(spaced, HasSubstr("kernel = \"/k\""));
  EXPECT_THAT(spaced, HasSubstr("# a space behind the backslash (line 1)"));
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

TEST(ShellText, QemuIsTheFirstWordOfItsCommand) {
  for (const auto* const text :
       {"see arch/powerpc/kvm - done\n", "map it as a KVM memory slot - it is not needed\n",
        "sudo usermod -a -G kvm --append me\n", "- the first thing\n- kvm -m is the second\n",
        "I start qemu-system-x86_64 -m 4G by hand\n",
        "qemu-system-x86_64 crashes with -cpu host\n"}) {
    EXPECT_THAT(refusal(text), HasSubstr("there is no command of QEMU here")) << text;
  }
  for (const auto* const start :
       {"sudo -u root ", "nice -n -5 ", "taskset -c 0-3 ", "taskset 0xf chrt -f 9 ", "A=1 env B=2 ",
        "numactl --membind=0 -N 1 ", "$SUDO ", "user@host:~$ ", "timeout -k 5 60 ",
        "4711 /usr/bin/", "root 4711 1 9 10:00 ? 00:00:01 /usr/bin/", "exec ",
        "ip netns exec blue "}) {
    EXPECT_EQ(
        config_of(start + std::string("qemu-system-x86_64 -m 1G -smp 2 -kernel /k")).machine.cpus,
        2U)
        << start;
  }
  EXPECT_EQ(
      config_of("sudo usermod -a -G kvm --append me\nkvm -m 1G -smp 3 -kernel /k\n").machine.cpus,
      3U);
}

TEST(ShellText, ApostrophesOfProseAreNoQuotes) {
  const std::string command = "qemu-system-x86_64 -m 1G -smp 2 -kernel /k -append 'a b'\n";
  for (const auto* const before : {"I don't know.\n", "It's so that I don't know.\n", ""}) {
    for (const auto* const after : {"", "That's all.\n", "It isn't, and that's all.\n"}) {
      const auto config = config_of(before + command + after);
      EXPECT_EQ(config.machine.cpus, 2U) << before << after;
      EXPECT_EQ(config.boot.cmdline, "a b") << before << after;
    }
  }
  EXPECT_THAT(refusal("I don't know.\n"), HasSubstr("there is no command of QEMU here"));
  EXPECT_THAT(refusal("#!/bin/sh\necho I don't\n"), HasSubstr("input:2:11: this quote ' has no"));
}

TEST(ShellText, VariablesOfLibvirtsLogSayNothing) {
  const auto text = converted("LC_ALL=C PATH=/bin qemu-system-x86_64 -m 1G -smp 1 -kernel /k");
  EXPECT_THAT(text, Not(HasSubstr("stands before")));
  EXPECT_THAT(text, HasSubstr("LC_ALL=C PATH=/bin;"));  // in the list of what needs no key
  EXPECT_THAT(converted("FOO=1 kvm -m 1G -smp 1 -kernel /k"),
              HasSubstr("# FOO=1 (line 1): these variables were for QEMU"));
}

}  // namespace
}  // namespace gpuvm::shell_text_test
