// SPDX-License-Identifier: Apache-2.0
// The report as JSON against its schema: the part of JSON Schema that the schema uses.
#include "vmm/job/result_json.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/fixtures/source_file.hpp"
#include "vmm/verdict/verdict_fold.hpp"

namespace gpuvm::result_json_test {
namespace {

using Json = nlohmann::json;

Json schema() {
  std::ifstream file(test::source_file("docs/schemas/test-result.schema.json"));
  return Json::parse(file);
}

bool has_type(const Json& value, const std::string& type) {
  return type == "object"    ? value.is_object()
         : type == "array"   ? value.is_array()
         : type == "string"  ? value.is_string()
         : type == "integer" ? value.is_number_integer()
         : type == "null"    ? value.is_null()
                             : false;
}

/// What is wrong with it; "" where nothing is.
std::string wrong_with(const Json& value, const Json& rule, const std::string& where) {
  if (rule.contains("const") && value != rule["const"]) {
    return where + " is another constant";
  }
  if (rule.contains("enum")) {
    const auto& words = rule["enum"];
    return std::find(words.begin(), words.end(), value) != words.end() ? "" : where + " is no word";
  }
  if (rule.contains("type")) {
    const Json types = rule["type"].is_array() ? rule["type"] : Json::array({rule["type"]});
    const bool fits = std::any_of(types.begin(), types.end(),
                                  [&](const Json& type) { return has_type(value, type); });
    if (!fits) {
      return where + " has the wrong type";
    }
  }
  if (value.is_number() && rule.contains("minimum") &&
      value.get<std::int64_t>() < rule["minimum"].get<std::int64_t>()) {
    return where + " is too small";
  }
  if (value.is_number() && rule.contains("maximum") &&
      value.get<std::int64_t>() > rule["maximum"].get<std::int64_t>()) {
    return where + " is too large";
  }
  if (value.is_array()) {
    for (const Json& item : value) {
      if (auto wrong = wrong_with(item, rule["items"], where + "[]"); !wrong.empty()) {
        return wrong;
      }
    }
  }
  if (value.is_object()) {
    for (const auto& key : rule["required"]) {
      if (!value.contains(key.get<std::string>())) {
        return where + " lacks " + key.get<std::string>();
      }
    }
    for (const auto& [key, item] : value.items()) {
      if (!rule["properties"].contains(key)) {
        return where + " has an unknown " + key;
      }
      if (auto wrong = wrong_with(item, rule["properties"][key], where + "." + key);
          !wrong.empty()) {
        return wrong;
      }
    }
  }
  return "";
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
