// SPDX-License-Identifier: Apache-2.0
// Whole consoles (tests/fixtures/test_output/NAME.txt) and the cases that are in them
// (NAME.expected: an outcome, the suite, a colon, the name). In those whose name has "crash" the
// guest has died at the end. Those named debian-… are what tests/lab/test_cases_test.sh saw of
// Debian's kernel 6.12.117.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fixtures/source_file.hpp"
#include "vmm/test_report/console_cases.hpp"

namespace gpuvm::recorded_output_test {
namespace {

using std::chrono::milliseconds;

const char* name_of(CaseOutcome outcome) {
  switch (outcome) {
    case CaseOutcome::kPassed:
      return "passed";
    case CaseOutcome::kFailed:
      return "failed";
    case CaseOutcome::kSkipped:
      return "skipped";
    case CaseOutcome::kBroken:
      return "broken";
  }
  return "";
}

std::string as_text(const std::vector<TestCase>& cases) {
  std::string text;
  for (const TestCase& one : cases) {
    text += fmt::format("{} {}: {}\n", name_of(one.outcome), one.suite, one.name);
  }
  return text;
}

std::string read_text(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// `ending` as a serial console has it.
std::vector<TestCase> cases_in(const std::filesystem::path& path, const std::string& ending) {
  ConsoleCases cases;
  std::istringstream lines(read_text(path));
  milliseconds time{0};
  for (std::string line; std::getline(lines, line);) {
    cases.add_line(line + ending, time += milliseconds(10));
  }
  return cases.finish(path.filename().string().find("crash") != std::string::npos);
}

TEST(RecordedOutputTest, Cases) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::source_file("tests/fixtures/test_output"))) {
    if (entry.path().extension() != ".txt") {
      continue;
    }
    ++count;
    SCOPED_TRACE(entry.path().filename().string());
    std::filesystem::path expected = entry.path();
    expected.replace_extension(".expected");
    EXPECT_EQ(as_text(cases_in(entry.path(), "")), read_text(expected));
    EXPECT_EQ(as_text(cases_in(entry.path(), "\r")), read_text(expected));
  }
  EXPECT_GE(count, 9U);
}

const TestCase* find_case(const std::vector<TestCase>& cases, const std::string& name) {
  for (const TestCase& one : cases) {
    if (one.name == name) {
      return &one;
    }
  }
  return nullptr;
}

bool has(const TestCase* one, const std::string& text) {
  return one != nullptr && one->details.find(text) != std::string::npos;
}

TEST(RecordedOutputTest, WhatAFailureHasPrinted) {
  const auto kunit = cases_in(test::source_file("tests/fixtures/test_output/kunit.txt"), "");
  EXPECT_TRUE(has(find_case(kunit, "list_test_list_add"), "EXPECTATION FAILED at lib/list-test.c"));
  EXPECT_TRUE(has(find_case(kunit, "list_test_list_del"), "not on this machine"));
  EXPECT_EQ(find_case(kunit, "list_test_list_init")->details, "");

  const auto selftests =
      cases_in(test::source_file("tests/fixtures/test_output/kselftest.txt"), "");
  EXPECT_TRUE(has(find_case(selftests, "pmtu.sh"), "TIMEOUT 45 seconds"));
  EXPECT_TRUE(has(find_case(selftests, "udpgso.sh"), "ipv4: error: send: Message too long"));
  EXPECT_TRUE(has(find_case(selftests, "tls.12_aes_gcm.sendfile"), "terminated by assertion"));
  EXPECT_FALSE(has(find_case(selftests, "udpgso.sh"), "PMTU"));  // of the test before it

  const auto tap = cases_in(test::source_file("tests/fixtures/test_output/tap14.txt"), "");
  EXPECT_TRUE(has(find_case(tap, "takes words"), "one is not two"));
}

TEST(RecordedOutputTest, ACrashTellsWhatItWas) {
  const auto kunit = cases_in(test::source_file("tests/fixtures/test_output/kunit-crash.txt"), "");
  EXPECT_TRUE(has(find_case(kunit, "test 2 of 4"), "NULL pointer dereference"));
  EXPECT_FALSE(has(find_case(kunit, "test 3 of 4"), "NULL pointer dereference"));
  const auto selftests =
      cases_in(test::source_file("tests/fixtures/test_output/kselftest-crash.txt"), "");
  EXPECT_TRUE(has(find_case(selftests, "userfaultfd"), "kernel BUG at mm/userfaultfd.c"));
}

TEST(RecordedOutputTest, Durations) {
  const auto kunit = cases_in(test::source_file("tests/fixtures/test_output/kunit.txt"), "");
  EXPECT_EQ(find_case(kunit, "list_test_list_init")->duration, milliseconds(40));
  EXPECT_EQ(find_case(kunit, "list_test_list_del")->duration, milliseconds(10));
}

}  // namespace
}  // namespace gpuvm::recorded_output_test
