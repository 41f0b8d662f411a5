// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/junit.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <pugixml.hpp>
#include <unordered_map>
#include <vector>

#include "vmm/base/output_file.hpp"
#include "vmm/test_report/clean_text.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostAttribute = 1024;
constexpr std::string_view kJobsSuite = "gpuvm";

struct CaseCounts {
  std::size_t tests = 0;
  std::size_t failures = 0;
  std::size_t errors = 0;
  std::size_t skipped = 0;
  std::chrono::milliseconds time{0};
};

/// The cases of one suite, by their places in the report.
struct SuiteCases {
  std::string name;
  std::vector<const TestCase*> cases;
};

std::string seconds_text(std::chrono::milliseconds time) {
  return fmt::format("{:.3f}", static_cast<double>(time.count()) / 1000);
}

void set(pugi::xml_node node, const char* name, std::string_view value) {
  node.append_attribute(name).set_value(clean_line(value, kMostAttribute).c_str());
}

void set_number(pugi::xml_node node, const char* name, std::size_t value) {
  node.append_attribute(name).set_value(static_cast<unsigned long long>(value));
}

void count(CaseCounts& counts, CaseOutcome outcome, std::chrono::milliseconds time) {
  ++counts.tests;
  counts.failures += outcome == CaseOutcome::kFailed ? 1 : 0;
  counts.errors += outcome == CaseOutcome::kBroken ? 1 : 0;
  counts.skipped += outcome == CaseOutcome::kSkipped ? 1 : 0;
  counts.time += time;
}

/// <failure message="first line" type="…">all of it</failure>, <error>, <skipped>.
void add_outcome(pugi::xml_node test, CaseOutcome outcome, std::string_view type,
                 const std::string& details) {
  if (outcome == CaseOutcome::kPassed) {
    return;
  }
  const std::string message = details.substr(0, details.find('\n'));
  if (outcome == CaseOutcome::kSkipped) {
    set(test.append_child("skipped"), "message", message);
    return;
  }
  pugi::xml_node node = test.append_child(outcome == CaseOutcome::kFailed ? "failure" : "error");
  set(node, "message", message);
  set(node, "type", type);
  node.append_child(pugi::node_pcdata).set_value(clean_text(details).c_str());
}

pugi::xml_node add_suite(pugi::xml_node root, std::string_view name, const CaseCounts& counts,
                         const JobReport& report) {
  pugi::xml_node suite = root.append_child("testsuite");
  set(suite, "name", name);
  set_number(suite, "tests", counts.tests);
  set_number(suite, "failures", counts.failures);
  set_number(suite, "errors", counts.errors);
  set_number(suite, "skipped", counts.skipped);
  set(suite, "time", seconds_text(counts.time));
  const auto began = std::chrono::system_clock::to_time_t(report.began);
  set(suite, "timestamp", fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(began)));
  return suite;
}

/// How the job as a whole looks among test cases: what is the guest's own word is a failure, and
/// what broke the job an error.
CaseOutcome outcome_as_case(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      return CaseOutcome::kPassed;
    case Outcome::kFailed:
      return CaseOutcome::kFailed;
    case Outcome::kSkipped:
      return CaseOutcome::kSkipped;
    case Outcome::kDeviceUnsafe:
    case Outcome::kHostFault:
    case Outcome::kPanicked:
    case Outcome::kTimedOut:
    case Outcome::kNoVerdict:
      return CaseOutcome::kBroken;
  }
  return CaseOutcome::kBroken;
}

void add_property(pugi::xml_node properties, std::string_view name, std::string_view value) {
  pugi::xml_node property = properties.append_child("property");
  set(property, "name", name);
  set(property, "value", value);
}

void add_properties(pugi::xml_node suite, const JobReport& report) {
  pugi::xml_node properties = suite.append_child("properties");
  add_property(properties, "guest", report.guest);
  add_property(properties, "config", report.config_file);
  add_property(properties, "command", report.command);
  add_property(properties, "outcome", outcome_name(report.verdict.outcome));
  add_property(properties, "exit_status", std::to_string(report.verdict.exit_status));
  add_property(properties, "channel", report.verdict.channel);
  add_property(properties, "reason", report.verdict.reason);
  if (report.verdict.guest_status) {
    add_property(properties, "guest_status", std::to_string(*report.verdict.guest_status));
  }
  add_property(properties, "attempts", std::to_string(report.attempts));
  for (const JobPhase& phase : report.phases) {
    add_property(properties, fmt::format("phase.{}", phase.name), seconds_text(phase.duration));
  }
  for (std::size_t i = 0; i < report.resets.size(); ++i) {
    const JobReset& reset = report.resets[i];
    add_property(properties, fmt::format("reset.{}", i),
                 fmt::format("{}: {} by {}: {}, {} ms", reset.reason, reset.functions, reset.method,
                             reset.verdict, reset.duration_ms));
  }
  for (const JobArtifact& artifact : report.artifacts) {
    add_property(properties, fmt::format("artifact.{}", artifact.name), artifact.path);
  }
}

CaseCounts add_job(pugi::xml_node root, const JobReport& report) {
  const CaseOutcome outcome = outcome_as_case(report.verdict.outcome);
  CaseCounts counts;
  count(counts, outcome, report.duration);
  pugi::xml_node suite = add_suite(root, kJobsSuite, counts, report);
  add_properties(suite, report);
  pugi::xml_node test = suite.append_child("testcase");
  set(test, "name", report.command.empty() ? report.guest : report.command);
  set(test, "classname", fmt::format("gpuvm.{}", report.guest));
  set(test, "time", seconds_text(report.duration));
  add_outcome(test, outcome, outcome_name(report.verdict.outcome), report.verdict.reason);
  pugi::xml_node console = suite.append_child("system-out");
  console.append_child(pugi::node_pcdata).set_value(clean_text(report.console_tail).c_str());
  return counts;
}

CaseCounts add_cases(pugi::xml_node root, const SuiteCases& found, const JobReport& report) {
  CaseCounts counts;
  for (const TestCase* one : found.cases) {
    count(counts, one->outcome, one->duration);
  }
  pugi::xml_node suite = add_suite(root, found.name, counts, report);
  for (const TestCase* one : found.cases) {
    pugi::xml_node test = suite.append_child("testcase");
    set(test, "name", one->name);
    set(test, "classname", found.name);
    set(test, "time", seconds_text(one->duration));
    add_outcome(test, one->outcome, one->outcome == CaseOutcome::kFailed ? "failed" : "broken",
                one->details);
  }
  return counts;
}

/// In the order in which each was first heard of.
std::vector<SuiteCases> suites_of(const JobReport& report) {
  std::vector<SuiteCases> suites;
  std::unordered_map<std::string, std::size_t> places;
  for (const TestCase& one : report.cases) {
    const std::string name = one.suite.empty()         ? "console"
                             : one.suite == kJobsSuite ? "console.gpuvm"
                                                       : one.suite;
    const auto [place, is_new] = places.try_emplace(name, suites.size());
    if (is_new) {
      suites.push_back({.name = name, .cases = {}});
    }
    suites[place->second].cases.push_back(&one);
  }
  return suites;
}

struct StringWriter : pugi::xml_writer {
  std::string text = {};
  void write(const void* data, std::size_t size) override {
    text.append(static_cast<const char*>(data), size);
  }
};

}  // namespace

std::string junit_text(const JobReport& report) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version").set_value("1.0");
  declaration.append_attribute("encoding").set_value("UTF-8");
  pugi::xml_node root = document.append_child("testsuites");
  CaseCounts all = add_job(root, report);
  const auto job_time = all.time;
  for (const SuiteCases& suite : suites_of(report)) {
    const CaseCounts counts = add_cases(root, suite, report);
    all.tests += counts.tests;
    all.failures += counts.failures;
    all.errors += counts.errors;
  }
  set(root, "name", fmt::format("gpuvm {}", report.guest));
  set_number(root, "tests", all.tests);
  set_number(root, "failures", all.failures);
  set_number(root, "errors", all.errors);
  set(root, "time", seconds_text(job_time));  // the cases are parts of the job
  StringWriter writer;
  document.save(writer, "  ", pugi::format_default, pugi::encoding_utf8);
  return std::move(writer.text);
}

Status write_junit(const std::string& path, const JobReport& report) {
  return replace_output(path, junit_text(report), ErrorKind::kHost);
}

}  // namespace gpuvm
