// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/result_json.hpp"

#include <nlohmann/json.hpp>

#include "vmm/control/guest_events.hpp"

namespace gpuvm {
namespace {

using Json = nlohmann::ordered_json;

/// Of the format: it changes when a reader of the old one would be wrong.
constexpr int kVersion = 1;

const char* case_outcome_name(CaseOutcome outcome) {
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
  return "broken";
}

Json resets_of(const std::vector<JobReset>& resets) {
  Json list = Json::array();
  for (const JobReset& reset : resets) {
    list.push_back({{"reason", reset.reason},
                    {"functions", reset.functions},
                    {"method", reset.method},
                    {"verdict", reset.verdict},
                    {"duration_ms", reset.duration_ms},
                    {"text", reset.text}});
  }
  return list;
}

Json cases_of(const std::vector<TestCase>& cases) {
  Json list = Json::array();
  for (const TestCase& one : cases) {
    list.push_back({{"suite", one.suite},
                    {"name", one.name},
                    {"outcome", case_outcome_name(one.outcome)},
                    {"duration_ms", one.duration.count()},
                    {"details", one.details}});
  }
  return list;
}

std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string resets_json(const std::vector<JobReset>& resets) {
  return text_of(resets_of(resets));
}

std::string result_json(const JobReport& report) {
  Json json = {{"version", kVersion},
               {"guest", report.guest},
               {"config", report.config_file},
               {"command", report.command},
               {"began", time_text(report.began)},
               {"duration_ms", report.duration.count()},
               {"attempts", report.attempts},
               {"outcome", outcome_name(report.verdict.outcome)},
               {"exit_status", report.verdict.exit_status},
               {"channel", report.verdict.channel},
               {"reason", report.verdict.reason}};
  json["guest_status"] = report.verdict.guest_status ? Json(*report.verdict.guest_status) : Json();
  json["phases"] = Json::array();
  for (const JobPhase& phase : report.phases) {
    json["phases"].push_back({{"name", phase.name}, {"duration_ms", phase.duration.count()}});
  }
  json["resets"] = resets_of(report.resets);
  json["cases"] = cases_of(report.cases);
  json["artifacts"] = Json::array();
  for (const JobArtifact& artifact : report.artifacts) {
    json["artifacts"].push_back({{"name", artifact.name}, {"path", artifact.path}});
  }
  json["console_tail"] = report.console_tail;
  return text_of(json);
}

}  // namespace gpuvm
