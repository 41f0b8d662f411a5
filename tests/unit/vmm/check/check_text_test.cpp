// SPDX-License-Identifier: Apache-2.0
// Lines of a check as text and JSON, and the exit status that they make.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "vmm/check/check_line.hpp"

namespace gpuvm::check_text_test {
namespace {

using testing::HasSubstr;
using testing::Not;

CheckLine line(CheckLevel level, const std::string& of, ErrorKind kind = ErrorKind::kHost) {
  return {.level = level,
          .check = "kvm",
          .of = of,
          .text = "found",
          .why = "reason",
          .cure = "`cure`",
          .kind = kind};
}

TEST(CheckText, ExitStatusIsThatOfTheWorstLine) {
  EXPECT_EQ(exit_status(CheckLines{}), 0);
  EXPECT_EQ(exit_status(CheckLines{line(CheckLevel::kPass, ""), line(CheckLevel::kWarn, "")}), 0);
  CheckLines lines{line(CheckLevel::kFail, "", ErrorKind::kConfig)};
  EXPECT_EQ(exit_status(lines), 78);
  lines.push_back(line(CheckLevel::kFail, "", ErrorKind::kUnsafeDevice));
  EXPECT_EQ(exit_status(lines), 75);
  lines.push_back(line(CheckLevel::kFail, "", ErrorKind::kHost));
  EXPECT_EQ(exit_status(lines), 69);
  EXPECT_EQ(exit_status(CheckLines{line(CheckLevel::kFail, "", ErrorKind::kInternal)}), 70);
}

TEST(CheckText, WhatIsWrongHasItsReasonAndCure) {
  const CheckLines lines{line(CheckLevel::kPass, ""), line(CheckLevel::kFail, "0000:01:00.0")};
  EXPECT_EQ(check_text(lines, false),
            "Host\n"
            "  PASS  kvm                   found\n"
            "\n"
            "0000:01:00.0\n"
            "  FAIL  kvm                   found\n"
            "                              why:  reason\n"
            "                              cure: `cure`\n"
            "\n"
            "1 failure, 0 warnings, 1 in order\n");
}

TEST(CheckText, ColourOnlyWhereItIsWanted) {
  const CheckLines lines{line(CheckLevel::kFail, "")};
  EXPECT_THAT(check_text(lines, true), HasSubstr("\x1b[1;31mFAIL\x1b[0m"));
  EXPECT_THAT(check_text(lines, false), Not(HasSubstr("\x1b")));
}

TEST(CheckText, TextsOfAHostDoNothingToATerminal) {
  auto odd = line(CheckLevel::kFail, "");
  odd.text = "a\x1b[2Jb\nc";
  EXPECT_THAT(check_text({odd}, false), HasSubstr("a?[2Jb c\n"));
}

TEST(CheckText, JsonHasEachLine) {
  const auto json = nlohmann::json::parse(
      check_json({line(CheckLevel::kWarn, ""), line(CheckLevel::kFail, "0000:01:00.0")}));
  EXPECT_EQ(json["exit_status"], 69);
  ASSERT_EQ(json["lines"].size(), 2U);
  EXPECT_EQ(json["lines"][0]["level"], "warn");
  EXPECT_TRUE(json["lines"][0]["of"].is_null());
  EXPECT_EQ(json["lines"][1]["of"], "0000:01:00.0");
  EXPECT_EQ(json["lines"][1]["cure"], "`cure`");
}

}  // namespace
}  // namespace gpuvm::check_text_test
