// SPDX-License-Identifier: Apache-2.0
// The report as JSON against its schema.
#include "vmm/job/result_json.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/fixtures/json_schema.hpp"
#include "vmm/verdict/verdict_fold.hpp"

namespace gpuvm::result_json_test {
namespace {

using Json = nlohmann::json;

using test::wrong_with;

Json schema() {
  return test::schema_file("docs/schemas/test-result.schema.json");
}

JobReport full_report() {
  JobReport report;
  report.guest = "main";
  report.config_file = "ci.toml";
  report.command = "make \"check\"\n";
  report.duration = std::chrono::seconds(3);
  report.attempts = 2;
  report.verdict = {Outcome::kFailed, 119, "vsock", "exit status 300 by vsock", 300};
  report.phases = {{"wait", std::chrono::milliseconds(1)}, {"guest", std::chrono::seconds(2)}};
  report.resets = {{"start", "0000:01:00.0", "hot reset", "verified", 131, "text"}};
  report.cases = {{"kunit", "one", CaseOutcome::kPassed, {}, ""},
                  {"kunit", "two", CaseOutcome::kBroken, {}, "Oops"},
                  {"", "three", CaseOutcome::kSkipped, {}, ""},
                  {"", "four", CaseOutcome::kFailed, {}, ""}};
  report.artifacts = {{"console.log", "out/console.log"}};
  report.console_tail = "bytes \xff that are no text\n";
  return report;
}

TEST(ResultJson, FitsItsSchema) {
  const auto json = Json::parse(result_json(full_report()));
  EXPECT_EQ(wrong_with(json, schema(), "$"), "");
  EXPECT_EQ(json["exit_status"], 119);
  EXPECT_EQ(json["guest_status"], 300);
  EXPECT_EQ(json["began"], "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(json["command"], "make \"check\"\n");
  EXPECT_EQ(json["console_tail"], "bytes \xef\xbf\xbd that are no text\n");
  EXPECT_EQ(json["cases"][1]["outcome"], "broken");
}

TEST(ResultJson, OfNothingFitsToo) {
  const auto json = Json::parse(result_json({}));
  EXPECT_EQ(wrong_with(json, schema(), "$"), "");
  EXPECT_TRUE(json["guest_status"].is_null());
  EXPECT_EQ(json["outcome"], "no_verdict");
}

TEST(ResultJson, TheSchemaKnowsEachOutcome) {
  JobReport report;
  for (const auto outcome :
       {Outcome::kDeviceUnsafe, Outcome::kHostFault, Outcome::kPanicked, Outcome::kPassed,
        Outcome::kFailed, Outcome::kTimedOut, Outcome::kNoVerdict, Outcome::kSkipped}) {
    report.verdict.outcome = outcome;
    EXPECT_EQ(wrong_with(Json::parse(result_json(report)), schema(), "$"), "");
  }
}

TEST(ResultJson, TheCheckItselfCanFail) {
  auto json = Json::parse(result_json(full_report()));
  auto changed = json;
  changed["more"] = 1;
  EXPECT_NE(wrong_with(changed, schema(), "$"), "");
  changed = json;
  changed["phases"][0].erase("name");
  EXPECT_NE(wrong_with(changed, schema(), "$"), "");
  changed = json;
  changed["exit_status"] = "0";
  EXPECT_NE(wrong_with(changed, schema(), "$"), "");
  changed["exit_status"] = 126;
  EXPECT_NE(wrong_with(changed, schema(), "$"), "");
}

TEST(ResultJson, Resets) {
  const auto json = Json::parse(resets_json(full_report().resets));
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0]["verdict"], "verified");
  EXPECT_EQ(resets_json({}), "[]\n");
}

}  // namespace
}  // namespace gpuvm::result_json_test
