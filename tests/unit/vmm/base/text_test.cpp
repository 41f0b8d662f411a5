// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/text.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <string>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::text_test {
namespace {

TEST(Text, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("cpus", "cpu"), 1U);
  EXPECT_EQ(edit_distance("same", "same"), 0U);
}

TEST(Text, EditDistanceIsBounded) {
  const std::string longer(100'000, 'a');
  EXPECT_EQ(edit_distance(longer, longer), 0U);
  EXPECT_EQ(edit_distance(longer, "b"), 64U);
}

TEST(Text, NearestName) {
  constexpr std::array<std::string_view, 3> kNames = {"memory", "cpus", "hugepages"};
  EXPECT_EQ(nearest_name("cpu", kNames), "cpus");
  EXPECT_EQ(nearest_name("hugepage", kNames), "hugepages");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(TerminalText, NoControlCharacterReachesATerminal) {
  EXPECT_EQ(terminal_text("a\nb\tc\x1b[31m\x7f"), "a\nb?c?[31m?");
  EXPECT_EQ(terminal_text("\xc2\x9b"
                          "0m \xc3\xa9 \xe2\x94\x9c \xc2\xb5 \xc2"),
            "?0m \xc3\xa9 \xe2\x94\x9c \xc2\xb5 \xc2");
}

TEST(TerminalText, NothingTurnsALineAround) {
  EXPECT_EQ(terminal_text("a\xe2\x80\xaetxt.exe\xe2\x81\xa6"), "a?txt.exe?");
  EXPECT_EQ(terminal_text("\xe2\x80\x94 \xe2\x81\xa0"), "\xe2\x80\x94 \xe2\x81\xa0");  // a dash
}

TEST(NearName, OnlyWhatMayHaveBeenMeant) {
  constexpr std::string_view kNames[] = {"rom", "run", "validate"};
  EXPECT_EQ(near_name("foo", kNames), "");
  EXPECT_EQ(near_name("rin", kNames), "run");
  EXPECT_EQ(near_name("rnu", kNames), "run");
  EXPECT_EQ(near_name("valdate", kNames), "validate");
  EXPECT_EQ(near_name("x", {}), "");
}

TEST(TextFor, OnlyATerminalIsSpared) {
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  const UniqueFd file(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(text_for(terminal.get(), "a\x1b[2J\n"), "a?[2J\n");
  EXPECT_EQ(text_for(file.get(), "a\x1b[2J\n"), "a\x1b[2J\n");
}

TEST(EscapedLine, IsOneLine) {
  EXPECT_EQ(escaped_line("a\n<0>b\\n\r\x1b[2J\n"), "a\\n<0>b\\\\n??[2J\\n");
  EXPECT_EQ(escaped_line(""), "");
}

TEST(RunnerCommands, AreBrokenWhereverTheyStand) {
  EXPECT_EQ(without_runner_commands("panic: ##[set-output name=x]0 ###[error]##["),
            "panic: ## [set-output name=x]0 ### [error]## [");
  EXPECT_EQ(without_runner_commands("# [a] ## [b] #[c]"), "# [a] ## [b] #[c]");
}

}  // namespace
}  // namespace gpuvm::text_test
