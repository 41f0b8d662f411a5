// SPDX-License-Identifier: Apache-2.0
// tests/golden/junit shows the same to a schema; here is what a schema does not know.
#include "vmm/test_report/junit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <pugixml.hpp>
#include <sstream>

namespace gpuvm::junit_test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

JobReport report_of(Outcome outcome) {
  JobReport report;
  report.guest = "ci";
  report.command = "make check";
  report.duration = milliseconds(12345);
  report.verdict.outcome = outcome;
  report.verdict.reason = "because \"<it>\" & so";
  return report;
}

pugi::xml_document document_of(const JobReport& report) {
  pugi::xml_document document;
  const auto result = document.load_string(junit_text(report).c_str());
  EXPECT_TRUE(result) << result.description();
  return document;
}

TEST(JunitTest, TheJobIsACase) {
  const auto document = document_of(report_of(Outcome::kPassed));
  const auto test = document.child("testsuites").child("testsuite").child("testcase");
  EXPECT_STREQ(test.attribute("name").value(), "make check");
  EXPECT_STREQ(test.attribute("classname").value(), "gpuvm.ci");
  EXPECT_STREQ(test.attribute("time").value(), "12.345");
  EXPECT_TRUE(test.first_child().empty());
}

TEST(JunitTest, WhatFailedAndWhatBroke) {
  const auto child = [](Outcome outcome) {
    const auto document = document_of(report_of(outcome));
    const auto node =
        document.child("testsuites").child("testsuite").child("testcase").first_child();
    return std::string(node.name()) + " " + node.attribute("message").value();
  };
  EXPECT_EQ(child(Outcome::kFailed), "failure because \"<it>\" & so");
  EXPECT_EQ(child(Outcome::kSkipped), "skipped because \"<it>\" & so");
  for (const auto outcome : {Outcome::kPanicked, Outcome::kTimedOut, Outcome::kNoVerdict,
                             Outcome::kHostFault, Outcome::kDeviceUnsafe}) {
    EXPECT_EQ(child(outcome), "error because \"<it>\" & so");
  }
}

TEST(JunitTest, SuitesInTheOrderOfTheirFirstCases) {
  auto report = report_of(Outcome::kPassed);
  report.cases = {{.suite = "b", .name = "1"},
                  {.suite = "a", .name = "2", .outcome = CaseOutcome::kFailed, .details = "x\ny"},
                  {.suite = "b", .name = "3", .outcome = CaseOutcome::kBroken},
                  {.name = "4", .outcome = CaseOutcome::kSkipped}};
  const auto document = document_of(report);
  const auto root = document.child("testsuites");
  std::string found;
  for (const auto suite : root.children("testsuite")) {
    found += fmt::format("{} {} {} {} {};", suite.attribute("name").value(),
                         suite.attribute("tests").value(), suite.attribute("failures").value(),
                         suite.attribute("errors").value(), suite.attribute("skipped").value());
  }
  EXPECT_EQ(found, "gpuvm 1 0 0 0;b 2 0 1 0;a 1 1 0 0;console 1 0 0 1;");
  EXPECT_STREQ(root.attribute("tests").value(), "5");
  EXPECT_STREQ(root.attribute("failures").value(), "1");
  EXPECT_STREQ(root.attribute("errors").value(), "1");
  const auto failure = root.child("testsuite").next_sibling().next_sibling().child("testcase");
  EXPECT_STREQ(failure.child("failure").attribute("message").value(), "x");
  EXPECT_STREQ(failure.child("failure").text().get(), "x\ny");
}

TEST(JunitTest, AGuestsBytesAreFitForXml) {
  auto report = report_of(Outcome::kFailed);
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all += static_cast<char>(byte);
  }
  report.console_tail = all + "]]>";
  report.cases = {{.suite = all, .name = all, .outcome = CaseOutcome::kFailed, .details = all}};
  report.command = all;
  const auto text = junit_text(report);
  for (const char c : text) {
    EXPECT_TRUE(static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\t');
  }
  EXPECT_THAT(text, HasSubstr("]]&gt;"));
  document_of(report);
}

TEST(JunitTest, AFileIsReplacedAtOnce) {
  const std::string folder = ::testing::TempDir() + "gpuvm-junit-test";
  std::filesystem::create_directories(folder);
  const std::string file = folder + "/junit.xml";
  ASSERT_TRUE(write_junit(file, report_of(Outcome::kFailed)));
  ASSERT_TRUE(write_junit(file, report_of(Outcome::kPassed)));
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  EXPECT_EQ(text.str(), junit_text(report_of(Outcome::kPassed)));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
  const auto status = write_junit("/proc/no/such/junit.xml", report_of(Outcome::kPassed));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("Cannot write /proc/no/such/junit.xml"));
}

}  // namespace
}  // namespace gpuvm::junit_test
