// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/write_report.hpp"

#include <nlohmann/json.hpp>

#include "vmm/machine/report_file/report_json.hpp"

namespace gpuvm {
namespace {

using ReportJson = nlohmann::ordered_json;

ReportJson host_json(const HostRecord& host) {
  return {{"kernel", host.kernel},
          {"kernel_package", host.kernel_package},
          {"iommu", host.iommu},
          {"cpu",
           {{"vendor", host.cpu_vendor},
            {"family", host.cpu_family},
            {"model", host.cpu_model},
            {"stepping", host.cpu_stepping},
            {"name", host.cpu_name},
            {"microcode", host.microcode}}}};
}

ReportJson decision_json(const ReportDecision& decision) {
  ReportJson functions = ReportJson::array();
  for (const FunctionDecision& each : decision.functions) {
    functions.push_back({{"address", each.address.to_string()},
                         {"policy", each.policy},
                         {"reason", each.reason},
                         {"source", each.source},
                         {"first_choice", each.first_choice},
                         {"opening", each.opening},
                         {"quirks", each.quirks},
                         {"shown", each.shown},
                         {"not_shown", each.not_shown},
                         {"patch_error", each.patch_error}});
  }
  ReportJson sets = ReportJson::array();
  for (const SetDecision& set : decision.sets) {
    sets.push_back({{"functions", set.functions},
                    {"order", set.order},
                    {"hot_reset", set.hot_reset},
                    {"function_reset", set.function_reset},
                    {"settle_ms", set.settle_ms},
                    {"warning", set.warning},
                    {"note", set.note}});
  }
  return {{"functions", std::move(functions)},
          {"reset_plan", std::move(sets)},
          {"plan_error", decision.plan_error}};
}

ReportJson cycle_json(const CycleRecord& cycle) {
  ReportJson resets = ReportJson::array();
  for (const ResetRecord& reset : cycle.resets) {
    resets.push_back({{"functions", reset.functions},
                      {"method", reset.method},
                      {"verdict", reset.verdict},
                      {"is_safe", reset.is_safe},
                      {"duration_ms", reset.duration_ms},
                      {"did_not_help", reset.did_not_help},
                      {"text", reset.text}});
  }
  ReportJson witnesses = ReportJson::array();
  for (const WitnessRecord& witness : cycle.witnesses) {
    witnesses.push_back({{"function", witness.function},
                         {"name", witness.name},
                         {"is_cleared", witness.is_cleared}});
  }
  ReportJson looks = ReportJson::array();
  for (const LookRecord& look : cycle.looks) {
    looks.push_back({{"function", look.function},
                     {"state", look.state},
                     {"command", hex_text(look.command, 4)},
                     {"status", hex_text(look.status, 4)},
                     {"registers", registers_json(look.registers)},
                     {"error", look.error}});
  }
  return {{"number", cycle.number},
          {"resets", std::move(resets)},
          {"witnesses", std::move(witnesses)},
          {"after", std::move(looks)}};
}

ReportJson trial_json(const TrialRecord& trial) {
  ReportJson cycles = ReportJson::array();
  for (const CycleRecord& cycle : trial.cycles) {
    cycles.push_back(cycle_json(cycle));
  }
  return {{"wanted", trial.wanted},
          {"has_ended", trial.has_ended},
          {"error", trial.error},
          {"cycles", std::move(cycles)}};
}

}  // namespace

std::string to_json_text(const CardReport& report) {
  ReportJson functions = ReportJson::array();
  for (const FunctionRecord& function : report.functions) {
    functions.push_back(function_json(function));
  }
  ReportJson json = {{"gpuvm_report", kReportVersion},
                     {"gpuvm_version", report.gpuvm_version},
                     {"remarks", report.remarks},
                     {"not_recorded", report.not_recorded},
                     {"host", host_json(report.host)},
                     {"functions", std::move(functions)},
                     {"decision", decision_json(report.decision)}};
  if (report.trial) {
    json["trial"] = trial_json(*report.trial);
  }
  // Texts are ASCII; should one not be, it must not end the program.
  return json.dump(1, ' ', true, ReportJson::error_handler_t::replace) + "\n";
}

}  // namespace gpuvm
