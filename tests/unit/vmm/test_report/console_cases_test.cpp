// SPDX-License-Identifier: Apache-2.0
// What a guest may print that is no test's output, and limits. recorded_output_test.cpp has the
// rest.
#include "vmm/test_report/console_cases.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace gpuvm::console_cases_test {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<TestCase> cases_of(const std::vector<std::string>& lines, bool guest_died = false) {
  ConsoleCases cases;
  for (const auto& line : lines) {
    cases.add_line(line, milliseconds(0));
  }
  return cases.finish(guest_died);
}

std::vector<std::string> names_of(const std::vector<TestCase>& cases) {
  std::vector<std::string> names;
  for (const auto& one : cases) {
    names.push_back(one.name);
  }
  return names;
}

TEST(ConsoleCasesTest, ResultsCountInAListOnly) {
  EXPECT_TRUE(cases_of({"ok 1 a", "not ok 2 b"}).empty());
  EXPECT_TRUE(cases_of({"TAP version 13", "  ok 1 a"}).empty());
  EXPECT_TRUE(cases_of({"1..2", "ok"}, true).empty());
  EXPECT_TRUE(cases_of({"KTAP version 1", "ok"}).empty());
  EXPECT_EQ(cases_of({"TAP version 13", "ok"}).size(), 1U);
  EXPECT_TRUE(cases_of({"1..4"}, true).empty());  // anybody may print that
}

TEST(ConsoleCasesTest, APlanMissesTests) {
  const auto cases = cases_of({"TAP version 13", "1..3", "ok 1 a"});
  EXPECT_THAT(names_of(cases), ElementsAre("a", "test 2 of 3", "test 3 of 3"));
  EXPECT_EQ(cases[1].outcome, CaseOutcome::kBroken);
  // A plan at the end, too.
  EXPECT_THAT(names_of(cases_of({"TAP version 13", "ok 1 a", "1..2"})),
              ElementsAre("a", "test 2 of 2"));
}

TEST(ConsoleCasesTest, WithoutAPlanAnEndIsNoTrouble) {
  EXPECT_THAT(names_of(cases_of({"TAP version 13", "ok 1 a"})), ElementsAre("a"));
  const auto cases = cases_of({"TAP version 13", "ok 1 a", "BUG: oops"}, true);
  ASSERT_THAT(names_of(cases), ElementsAre("a", "test 2"));
  EXPECT_THAT(cases[1].details, HasSubstr("BUG: oops"));
}

TEST(ConsoleCasesTest, AGuestThatBootsAgainHasBrokenItsTests) {
  const auto cases =
      cases_of({"TAP version 13", "1..2", "ok 1 a", "[    0.000000] Linux version 6.12.48",
                "TAP version 13", "1..1", "ok 1 b"});
  EXPECT_THAT(names_of(cases), ElementsAre("a", "test 2 of 2", "b"));
}

TEST(ConsoleCasesTest, AListIsSkipped) {
  const auto cases = cases_of({"TAP version 13", "1..0 # SKIP no such module"});
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_EQ(cases[0].outcome, CaseOutcome::kSkipped);
  EXPECT_THAT(cases[0].details, HasSubstr("no such module"));
}

TEST(ConsoleCasesTest, ALostResultBreaksItsTest) {
  const auto cases = cases_of({"TAP version 13", "1..2", "# selftests: net: a",
                               "# selftests: net: b", "ok 2 selftests: net: b"});
  ASSERT_THAT(names_of(cases), ElementsAre("a", "b"));
  EXPECT_EQ(cases[0].outcome, CaseOutcome::kBroken);
}

TEST(ConsoleCasesTest, EndlessYamlSwallowsNoResult) {
  const auto cases =
      cases_of({"TAP version 13", "not ok 1 a", "  ---", "  one: 1", "ok 2 b", "  ok 3 c"});
  ASSERT_THAT(names_of(cases), ElementsAre("a", "b"));
  EXPECT_THAT(cases[0].details, HasSubstr("one: 1"));
}

TEST(ConsoleCasesTest, APlanOfAllNumbersHasFewMissing) {
  const auto cases = cases_of({"TAP version 13", "1..18446744073709551615", "ok 1 a"});
  ASSERT_EQ(cases.size(), 102U);
  EXPECT_EQ(cases.back().name, "tests 102 to 18446744073709551615");
  EXPECT_TRUE(cases_of({"TAP version 13", "1..99999999999999999999999"}).empty());
}

TEST(ConsoleCasesTest, CasesHaveALimitAndFailuresBeyondItAreTold) {
  ConsoleCases cases;
  cases.add_line("TAP version 13", milliseconds(0));
  for (std::size_t i = 1; i <= ConsoleCases::kMostCases + 5; ++i) {
    cases.add_line(fmt::format("{} {} case", i % 10000 == 3 ? "not ok" : "ok", i), milliseconds(i));
  }
  const auto found = cases.finish(false);
  ASSERT_EQ(found.size(), ConsoleCases::kMostCases + 1);
  EXPECT_EQ(found.back().outcome, CaseOutcome::kFailed);
  EXPECT_THAT(found.back().details, HasSubstr("4 passed, 1 failed, 0 skipped"));
}

TEST(ConsoleCasesTest, DetailsHaveALimit) {
  ConsoleCases cases;
  cases.add_line("TAP version 13", milliseconds(0));
  for (int i = 1; i <= 300; ++i) {
    for (int line = 0; line < 200; ++line) {
      cases.add_line(std::string(1000, '\xff'), milliseconds(0));
    }
    cases.add_line("the last words", milliseconds(0));
    cases.add_line(fmt::format("not ok {} case", i), milliseconds(0));
  }
  std::size_t all = 0;
  const auto found = cases.finish(false);
  for (const auto& one : found) {
    EXPECT_LE(one.details.size(), ConsoleCases::kMostDetails);
    all += one.details.size();
  }
  EXPECT_LE(all, ConsoleCases::kMostDetailsInAll);
  EXPECT_THAT(found[0].details, HasSubstr("the last words"));  // the end is what is kept
}

TEST(ConsoleCasesTest, NestingHasALimit) {
  std::vector<std::string> lines;
  for (std::size_t depth = 0; depth < 50; ++depth) {
    lines.push_back(std::string(depth, ' ') + "KTAP version 1");
    lines.push_back(std::string(depth, ' ') + "ok 1 a");
  }
  const auto cases = cases_of(lines);
  EXPECT_EQ(cases.size(), ConsoleCases::kMostNesting);
}

TEST(ConsoleCasesTest, LinesHaveALimit) {
  const auto cases = cases_of({"TAP version 13", "ok 1 " + std::string(1000000, 'x')});
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_EQ(cases[0].name, std::string(256, 'x'));
}

TEST(ConsoleCasesTest, NamesAreClean) {
  const auto cases = cases_of({"TAP version 13", "not ok 1 a\x1b[31m\x01\xff"});
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_EQ(cases[0].name, "a\xef\xbf\xbd");
}

}  // namespace
}  // namespace gpuvm::console_cases_test
