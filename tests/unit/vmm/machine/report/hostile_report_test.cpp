// SPDX-License-Identifier: Apache-2.0
// Files that are no reports, or that lie: each is refused with one sentence that says where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/machine/report/report_sysfs.hpp"
#include "vmm/machine/report_file/json_syntax.hpp"
#include "vmm/machine/report_file/read_report.hpp"
#include "vmm/machine/report_file/write_report.hpp"

namespace gpuvm::hostile_report_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string refusal(std::string_view text) {
  const auto report = parse_report(text);
  if (report) {
    ADD_FAILURE() << "is taken";
    return "";
  }
  EXPECT_EQ(report.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(report.error().to_string(), Not(HasSubstr("\n")));
  EXPECT_LT(report.error().to_string().size(), 500U);
  return report.error().to_string();
}

class HostileReportTest : public testing::Test {
 protected:
  /// The good report with the first `old` replaced.
  std::string with(const std::string& old, const std::string& now) const {
    std::string text = good_;
    const auto at = text.find(old);
    EXPECT_NE(at, std::string::npos) << old;
    return at == std::string::npos ? text : text.replace(at, old.size(), now);
  }
  test::ReportSysfs sysfs_;
  const std::string good_ = to_json_text(sysfs_.gather());
};

TEST_F(HostileReportTest, TheGoodOneIsTaken) {
  EXPECT_TRUE(parse_report(good_));
}

TEST_F(HostileReportTest, EveryTruncationIsRefusedAndSaysSo) {
  for (std::size_t size = 0; size + 2 < good_.size(); size += 97) {
    EXPECT_THAT(refusal(std::string_view(good_).substr(0, size)), HasSubstr("is it cut short?"));
  }
}

TEST_F(HostileReportTest, NoJsonIsToldWithLineAndColumn) {
  EXPECT_THAT(refusal("{\n \"a\": 1,\n  ?}"), HasSubstr("line 3, column 3"));
  EXPECT_THAT(refusal("gpuvm: error"), HasSubstr("line 1, column 1"));
  EXPECT_THAT(refusal("{} {}"), HasSubstr("line 1, column 4"));
  EXPECT_THAT(refusal("[1e999999]"), HasSubstr("It is no JSON"));
  EXPECT_THAT(refusal("[\"\xff\"]"), HasSubstr("It is no JSON"));
}

TEST_F(HostileReportTest, OtherDocumentsAreNoReports) {
  EXPECT_THAT(refusal("{}"), HasSubstr("It is no report of gpuvm"));
  EXPECT_THAT(refusal("[]"), HasSubstr("The document must be an object, not a list"));
  EXPECT_THAT(refusal("null"), HasSubstr("not null"));
}

TEST_F(HostileReportTest, AnotherVersionIsNamed) {
  EXPECT_THAT(refusal(with("\"gpuvm_report\": 1", "\"gpuvm_report\": 2")),
              AllOf(HasSubstr("version 2"), HasSubstr("reads version 1")));
}

TEST_F(HostileReportTest, AKeyThatIsThereTwice) {
  EXPECT_THAT(refusal(with("\"driver\": \"nouveau\"", "\"driver\": \"a\", \"driver\": \"b\"")),
              HasSubstr("functions.driver is there twice"));
  EXPECT_THAT(refusal("{\"a\\u001b\": 1, \"a\\u001b\": 2}"), HasSubstr("a? is there twice"));
}

TEST_F(HostileReportTest, AKeyThatNobodyKnowsIsPassedOver) {
  EXPECT_TRUE(parse_report(with("\"driver\"", "\"colour\": [1, {}], \"driver\"")));
}

TEST_F(HostileReportTest, AKeyThatIsMissing) {
  EXPECT_THAT(refusal(with("\"power_state\"", "\"power_stale\"")),
              HasSubstr("functions[0].power_state is missing"));
}

TEST_F(HostileReportTest, WrongTypes) {
  EXPECT_THAT(refusal(with("\"driver\": \"nouveau\"", "\"driver\": 5")),
              HasSubstr("functions[0].driver must be a string, not a number"));
  EXPECT_THAT(refusal(with("\"is_boot_vga\": false", "\"is_boot_vga\": null")),
              HasSubstr("functions[0].is_boot_vga must be true or false, not null"));
  EXPECT_THAT(refusal(with("\"remarks\": []", "\"remarks\": {}")),
              HasSubstr("remarks must be a list, not an object"));
  EXPECT_THAT(refusal(with("\"remarks\": []", "\"remarks\": [[]]")),
              HasSubstr("remarks[0] must be a string, not a list"));
  EXPECT_THAT(refusal(with("\"address\": \"0000:01:00.0\"", "\"address\": \"0000:01:00.9\"")),
              HasSubstr("functions[0].address must be a PCI address"));
}

TEST_F(HostileReportTest, NumbersOutOfRange) {
  EXPECT_THAT(refusal(with("\"vendor\": \"0x10de\"", "\"vendor\": \"0x10000\"")),
              HasSubstr("functions[0].vendor must be a number from 0 to 65535"));
  EXPECT_THAT(refusal(with("\"vendor\": \"0x10de\"", "\"vendor\": \"10de\"")),
              HasSubstr("functions[0].vendor must be"));
  EXPECT_THAT(refusal(with("\"number\": 7", "\"number\": -7")),
              HasSubstr("functions[0].iommu_group.number must be a number"));
  EXPECT_THAT(refusal(with("\"number\": 7", "\"number\": 7.5")), HasSubstr("not a fraction"));
  EXPECT_THAT(refusal(with("\"number\": 7", "\"number\": 99999999999999999999")),
              HasSubstr("iommu_group.number must be"));
  EXPECT_THAT(refusal(with("\"size\": 16777216", "\"size\": 18446744073709551615")),
              HasSubstr("functions[0].bars[0].size must be"));
  EXPECT_THAT(refusal(with("\"index\": 0", "\"index\": 7")),
              HasSubstr("functions[0].bars[0].index must be a number from 0 to 6"));
}

TEST_F(HostileReportTest, ConfigurationSpaceThatIsNone) {
  EXPECT_THAT(refusal(with("\"size\": 4096", "\"size\": 8192")),
              HasSubstr("functions[0].config.size must be a number from 0 to 4096"));
  EXPECT_THAT(refusal(with("\"size\": 4096", "\"size\": 100")),
              HasSubstr("functions[0].config.size must be a multiple of 16"));
  EXPECT_THAT(refusal(with("\"size\": 4096", "\"size\": 48")),
              HasSubstr("functions[0].config.lines[1] must be sixteen bytes below 0x30"));
  for (const char* const line : {"00: de 10", "08: de 10 8b", "00: zz", "",
                                 "00:", "fffffffffffffffff: 00", "00: 100 00 00 00"}) {
    EXPECT_THAT(refusal(with("00: de 10 8b 12", line)), HasSubstr("config.lines[0] must be"));
  }
}

TEST_F(HostileReportTest, TextsThatAreNotFitForATerminal) {
  EXPECT_THAT(refusal(with("nouveau", "\\u001b[2J")),
              HasSubstr("functions[0].driver must be at most 8000 characters of printable ASCII"));
  EXPECT_THAT(refusal(with("nouveau", std::string(8001, 'x'))), HasSubstr("functions[0].driver"));
}

TEST_F(HostileReportTest, OneFunctionTwice) {
  EXPECT_THAT(refusal(with("\"address\": \"0000:01:00.1\",\n   \"vendor\"",
                           "\"address\": \"0000:01:00.0\",\n   \"vendor\"")),
              HasSubstr("functions[1].address must be of a function that is not there before"));
}

TEST(HostileJson, HasLimits) {
  EXPECT_THAT(refusal(std::string(kMostReportBytes + 1, ' ')), HasSubstr("at most 16777216"));
  EXPECT_THAT(refusal(std::string(100000, '[')), HasSubstr("deeper than 32 levels"));
  std::string many = "[0";
  for (std::size_t i = 0; i < kMostJsonValues; ++i) {
    many += ",0";
  }
  EXPECT_THAT(refusal(many + "]"), HasSubstr("more than 1000000 values"));
}

TEST(HostileJson, TooManyFunctions) {
  std::string text =
      "{\"gpuvm_report\": 1, \"gpuvm_version\": \"\", \"remarks\": [], "
      "\"not_recorded\": [], \"host\": {\"kernel\": \"\", \"kernel_package\": \"\", "
      "\"iommu\": \"\", \"cpu\": {\"vendor\": \"\", \"family\": \"\", \"model\": \"\", "
      "\"stepping\": \"\", \"name\": \"\", \"microcode\": \"\"}}, \"functions\": [0";
  for (std::size_t i = 0; i < kMostReportFunctions; ++i) {
    text += ",0";
  }
  EXPECT_THAT(refusal(text + "]}"), HasSubstr("functions must be a list of at most 64, not 65"));
}

}  // namespace
}  // namespace gpuvm::hostile_report_test
