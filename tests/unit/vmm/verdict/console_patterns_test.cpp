// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/console_patterns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace gpuvm::console_patterns_test {
namespace {

using testing::HasSubstr;
using testing::Optional;

ConsolePatterns patterns(const std::vector<std::string>& texts) {
  auto made = ConsolePatterns::create(texts);
  EXPECT_TRUE(made) << made.error().to_string();
  return made ? std::move(made).value() : ConsolePatterns();
}

TEST(Patterns, AreFoundAnywhereInALine) {
  const auto some = patterns({"^ok \\d+$", "FAIL(ED)?", "[[:digit:]]{3}"});
  EXPECT_FALSE(some.empty());
  EXPECT_THAT(some.find("ok 12"), Optional(std::string("^ok \\d+$")));
  EXPECT_THAT(some.find("test FAILED 123"), Optional(std::string("FAIL(ED)?")));
  EXPECT_EQ(some.find("ok then"), std::nullopt);
  EXPECT_EQ(ConsolePatterns().find("x"), std::nullopt);
  EXPECT_TRUE(ConsolePatterns().empty());
}

TEST(Patterns, LookAtBytes) {
  EXPECT_TRUE(
      patterns({"a.b"}).find("a\xff"
                             "b"));
  EXPECT_TRUE(patterns({"^..$"}).find("\xc3\xbc"));
}

TEST(Patterns, ThatAreNoneAreRefusedWithAReason) {
  EXPECT_THAT(ConsolePatterns::why_not("a(b"), Optional(HasSubstr("missing")));
  EXPECT_THAT(ConsolePatterns::why_not("*"), Optional(HasSubstr("repetition")));
  EXPECT_THAT(ConsolePatterns::why_not("(a)\\1"), Optional(HasSubstr("RE2")));
  EXPECT_THAT(ConsolePatterns::why_not(""), Optional(HasSubstr("empty")));
  EXPECT_THAT(ConsolePatterns::why_not(std::string(513, 'a')), Optional(HasSubstr("513")));
  EXPECT_EQ(ConsolePatterns::why_not(std::string(512, 'a')), std::nullopt);
  const std::vector<std::string> bad = {"good", "a(b"};
  const auto made = ConsolePatterns::create(bad);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(made.error().message(), HasSubstr("\"a(b\""));
  EXPECT_FALSE(ConsolePatterns::create(std::vector<std::string>(33, "a")));
}

// What a backtracking engine never finishes, and what compiles to more than its memory.
TEST(Patterns, AreBoundInTimeAndMemory) {
  const auto some = patterns({"(a*)*b", "(x+x+)+y"});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(some.find(std::string(4096, 'a')), std::nullopt);
  EXPECT_EQ(some.find(std::string(4096, 'x')), std::nullopt);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_THAT(ConsolePatterns::why_not("((a{100}){100}){100}"), Optional(HasSubstr("RE2")));
}

}  // namespace
}  // namespace gpuvm::console_patterns_test
