// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/read_report.hpp"

#include <algorithm>
#include <set>

#include "vmm/base/file.hpp"
#include "vmm/machine/report_file/json_syntax.hpp"
#include "vmm/machine/report_file/json_value.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostTexts = 256;

Result<HostRecord> parse_host(const JsonValue& json) {
  HostRecord host;
  host.kernel = TRY(json.text_of("kernel"));
  host.kernel_package = TRY(json.text_of("kernel_package"));
  host.iommu = TRY(json.text_of("iommu"));
  const auto cpu = TRY(json.member("cpu"));
  host.cpu_vendor = TRY(cpu.text_of("vendor"));
  host.cpu_family = TRY(cpu.text_of("family"));
  host.cpu_model = TRY(cpu.text_of("model"));
  host.cpu_stepping = TRY(cpu.text_of("stepping"));
  host.cpu_name = TRY(cpu.text_of("name"));
  host.microcode = TRY(cpu.text_of("microcode"));
  return host;
}

Result<FunctionDecision> parse_function_decision(const JsonValue& json) {
  FunctionDecision decision;
  decision.address = TRY(json.address_of("address"));
  decision.policy = TRY(json.text_of("policy"));
  decision.reason = TRY(json.text_of("reason"));
  decision.source = TRY(json.text_of("source"));
  decision.first_choice = TRY(json.text_of("first_choice"));
  decision.opening = TRY(json.text_of("opening"));
  decision.quirks = TRY(json.texts_of("quirks", kMostTexts));
  decision.shown = TRY(json.texts_of("shown", kMostTexts));
  decision.not_shown = TRY(json.texts_of("not_shown", kMostTexts));
  decision.patch_error = TRY(json.text_of("patch_error"));
  return decision;
}

Result<SetDecision> parse_set_decision(const JsonValue& json) {
  SetDecision set;
  set.functions = TRY(json.text_of("functions"));
  set.order = TRY(json.texts_of("order", kMostTexts));
  set.hot_reset = TRY(json.text_of("hot_reset"));
  set.function_reset = TRY(json.text_of("function_reset"));
  set.settle_ms = TRY(json.number_of<std::uint64_t>("settle_ms"));
  set.warning = TRY(json.text_of("warning"));
  set.note = TRY(json.text_of("note"));
  return set;
}

Result<ReportDecision> parse_decision(const JsonValue& json) {
  ReportDecision decision;
  for (const JsonValue& each : TRY(json.items_of("functions", kMostReportFunctions))) {
    decision.functions.push_back(TRY(parse_function_decision(each)));
  }
  for (const JsonValue& each : TRY(json.items_of("reset_plan", kMostReportFunctions))) {
    decision.sets.push_back(TRY(parse_set_decision(each)));
  }
  decision.plan_error = TRY(json.text_of("plan_error"));
  return decision;
}

Result<ResetRecord> parse_reset(const JsonValue& json) {
  ResetRecord reset;
  reset.functions = TRY(json.text_of("functions"));
  reset.method = TRY(json.text_of("method"));
  reset.verdict = TRY(json.text_of("verdict"));
  reset.is_safe = TRY(json.boolean_of("is_safe"));
  reset.duration_ms = TRY(json.number_of<std::uint64_t>("duration_ms"));
  reset.did_not_help = TRY(json.texts_of("did_not_help", kMostTexts));
  reset.text = TRY(json.text_of("text"));
  return reset;
}

Result<LookRecord> parse_look(const JsonValue& json) {
  LookRecord look;
  look.function = TRY(json.text_of("function"));
  look.state = TRY(json.text_of("state"));
  look.command = TRY(json.number_of<std::uint16_t>("command"));
  look.status = TRY(json.number_of<std::uint16_t>("status"));
  look.registers = TRY(parse_registers(TRY(json.member("registers"))));
  look.error = TRY(json.text_of("error"));
  return look;
}

Result<CycleRecord> parse_cycle(const JsonValue& json) {
  CycleRecord cycle;
  cycle.number = TRY(json.number_of<std::uint64_t>("number"));
  for (const JsonValue& each : TRY(json.items_of("resets", kMostReportFunctions))) {
    cycle.resets.push_back(TRY(parse_reset(each)));
  }
  for (const JsonValue& each : TRY(json.items_of("witnesses", kMostReportFunctions))) {
    WitnessRecord witness;
    witness.function = TRY(each.text_of("function"));
    witness.name = TRY(each.text_of("name"));
    witness.is_cleared = TRY(each.boolean_of("is_cleared"));
    cycle.witnesses.push_back(std::move(witness));
  }
  for (const JsonValue& each : TRY(json.items_of("after", kMostReportFunctions))) {
    cycle.looks.push_back(TRY(parse_look(each)));
  }
  return cycle;
}

Result<TrialRecord> parse_trial(const JsonValue& json) {
  TrialRecord trial;
  trial.wanted = TRY(json.number_of<std::uint64_t>("wanted"));
  trial.has_ended = TRY(json.boolean_of("has_ended"));
  trial.error = TRY(json.text_of("error"));
  for (const JsonValue& each : TRY(json.items_of("cycles", kMostReportResets))) {
    trial.cycles.push_back(TRY(parse_cycle(each)));
  }
  return trial;
}

/// Before anything else: what follows is of this version.
Status check_version(const JsonValue& json) {
  const auto version = TRY(json.optional_member("gpuvm_report"));
  if (!version) {
    return fail(ErrorKind::kConfig, "It is no report of gpuvm: it has no gpuvm_report");
  }
  const auto number = TRY(version->number());
  if (number != kReportVersion) {
    return fail(ErrorKind::kConfig,
                "It is a report of version {}, and this gpuvm reads version {}: take the gpuvm "
                "that wrote it, or a newer one",
                number, kReportVersion);
  }
  return {};
}

Result<std::vector<FunctionRecord>> parse_functions(const JsonValue& json) {
  std::vector<FunctionRecord> functions;
  std::set<Bdf> addresses;
  for (const JsonValue& each : TRY(json.items_of("functions", kMostReportFunctions))) {
    functions.push_back(TRY(parse_function(each)));
    if (!addresses.insert(functions.back().address).second) {
      return TRY(each.member("address")).wrong("of a function that is not there before it");
    }
  }
  return functions;
}

Result<CardReport> parse_document(const JsonValue& json) {
  TRY(check_version(json));
  CardReport report;
  report.gpuvm_version = TRY(json.text_of("gpuvm_version"));
  report.remarks = TRY(json.texts_of("remarks", kMostTexts));
  report.not_recorded = TRY(json.texts_of("not_recorded", kMostTexts));
  report.host = TRY(parse_host(TRY(json.member("host"))));
  report.functions = TRY(parse_functions(json));
  report.decision = TRY(parse_decision(TRY(json.member("decision"))));
  if (const auto trial = TRY(json.optional_member("trial"))) {
    report.trial = TRY(parse_trial(*trial));
  }
  return report;
}

}  // namespace

Result<CardReport> parse_report(std::string_view text) {
  if (text.size() > kMostReportBytes) {
    return fail(ErrorKind::kConfig, "It has {} bytes, and a report at most {}", text.size(),
                kMostReportBytes);
  }
  TRY(check_json_syntax(text));
  const auto document =
      nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return fail(ErrorKind::kConfig, "It is no JSON");
  }
  return parse_document(JsonValue(document));
}

Result<CardReport> load_report(const std::string& path) {
  const auto bytes = TRY(read_file(path, kMostReportBytes, ErrorKind::kConfig));
  const std::string text = [&bytes] {
    std::string copy(bytes.size(), '\0');
    std::transform(bytes.begin(), bytes.end(), copy.begin(),
                   [](std::byte byte) { return static_cast<char>(byte); });
    return copy;
  }();
  return TRY_CONTEXT(parse_report(text), path);
}

}  // namespace gpuvm
