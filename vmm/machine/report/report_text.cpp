// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report/report_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "devices/physical/reset/reset_policy.hpp"
#include "vmm/machine/report/decide.hpp"
#include "vmm/machine/report_file/config_text.hpp"
#include "vmm/machine/report_file/names.hpp"

namespace gpuvm {
namespace {

std::string or_none(const std::string& text) {
  return text.empty() ? "none" : text;
}

std::string joined(const std::vector<std::string>& words, std::string_view between = ", ") {
  return fmt::format("{}", fmt::join(words, between));
}

std::string link_words(const PciLink& link) {
  return link.width == 0 ? "not known"
                         : fmt::format("{} x{} of {} x{}", link.speed, link.width, link.max_speed,
                                       link.max_width);
}

std::string size_words(std::uint64_t size) {
  constexpr std::uint64_t kKib = 1024;
  return size >= kKib * kKib * kKib && size % (kKib * kKib * kKib) == 0
             ? fmt::format("{} GiB", size >> 30)
         : size >= kKib * kKib && size % (kKib * kKib) == 0 ? fmt::format("{} MiB", size >> 20)
         : size >= kKib && size % kKib == 0                 ? fmt::format("{} KiB", size >> 10)
                                                            : fmt::format("{} bytes", size);
}

std::string group_words(const FunctionRecord& function) {
  if (!function.group) {
    return "none";
  }
  std::vector<std::string> others;
  for (const RecordedMember& member : function.group->members) {
    if (member.address != function.address) {
      others.push_back(fmt::format("{} ({})", member.address.to_string(), or_none(member.driver)));
    }
  }
  return fmt::format("{}{}", function.group->number,
                     others.empty() ? ", alone" : ", with " + joined(others));
}

std::string bar_words(const FunctionRecord& function) {
  std::vector<std::string> words;
  for (const PciBar& bar : function.bars.value_or(std::vector<PciBar>())) {
    words.push_back(fmt::format("{} {} {}{}", region_name(static_cast<RegionIndex>(bar.index)),
                                size_words(bar.size), bar_kind_name(bar),
                                bar.prefetchable ? " prefetchable" : ""));
  }
  return or_none(joined(words));
}

std::string facts_words(const FunctionRecord& function) {
  const PciIds& ids = function.ids;
  std::string text = fmt::format("{}  {:04x}:{:04x} (subsystem {:04x}:{:04x}) class {:06x}\n",
                                 function.address.to_string(), ids.vendor, ids.device,
                                 ids.subsystem_vendor, ids.subsystem_device, ids.class_code);
  const auto line = [&text](std::string_view key, const std::string& value) {
    text += fmt::format("  {:<14}{}\n", key, value);
  };
  line("driver", or_none(function.driver));
  line("IOMMU group", group_words(function));
  line("link", link_words(function.link));
  for (const RecordedPort& port : function.ports) {
    line("behind", fmt::format("{} {:04x}:{:04x}, link {}", port.address.to_string(),
                               port.ids.vendor, port.ids.device, link_words(port.link)));
  }
  line("BARs", bar_words(function));
  line("kernel resets", or_none(joined(function.reset_methods, " ")));
  line("config space", fmt::format("{} bytes{}", function.config.bytes.size(),
                                   function.config.zeroed.empty() ? "" : ", serial number zeroed"));
  line("by VFIO", function.vfio ? "opened" : "not opened");
  return text;
}

const FunctionDecision* decision_of(const ReportDecision& decision, const Bdf& address) {
  const auto found =
      std::find_if(decision.functions.begin(), decision.functions.end(),
                   [&address](const FunctionDecision& each) { return each.address == address; });
  return found == decision.functions.end() ? nullptr : &*found;
}

std::string function_decision_words(const FunctionDecision& now, const FunctionDecision* then) {
  std::string text;
  const auto line = [&text](std::string_view key, const std::string& value) {
    text += fmt::format("  {:<14}{}\n", key, value);
  };
  line("policy",
       fmt::format("{}: {} first; {} ({})", now.policy, now.first_choice, now.reason, now.source));
  if (then != nullptr && then->policy != now.policy) {
    line("policy then", then->policy);
  }
  if (!now.opening.empty()) {
    line("opening", now.opening);
  }
  if (!now.quirks.empty()) {
    line("quirks", "possible: " + joined(now.quirks));
  }
  if (!now.patch_error.empty()) {
    line("guest sees", now.patch_error);
    return text;
  }
  line("guest sees", or_none(joined(now.shown)));
  line("and not", or_none(joined(now.not_shown)));
  return text;
}

const SetDecision* set_of(const ReportDecision& decision, const std::string& functions) {
  const auto found =
      std::find_if(decision.sets.begin(), decision.sets.end(),
                   [&functions](const SetDecision& set) { return set.functions == functions; });
  return found == decision.sets.end() ? nullptr : &*found;
}

std::string order_words(const SetDecision& set) {
  return set.order.empty() ? "no safe reset is known" : joined(set.order, ", then ");
}

std::string set_words(const SetDecision& now, const SetDecision* then) {
  std::string text = fmt::format("Reset of {}: {}\n", now.functions, order_words(now));
  if (then == nullptr || then->order != now.order) {
    text += fmt::format("  then          {}\n",
                        then == nullptr ? "another set of functions" : order_words(*then));
  }
  text += fmt::format("  hot reset     {}\n  function      {}\n  rest          {} ms\n",
                      now.hot_reset, now.function_reset, now.settle_ms);
  text += now.warning.empty() ? "" : fmt::format("  warning       {}\n", now.warning);
  text += now.note.empty() ? "" : fmt::format("  note          {}\n", now.note);
  return text;
}

std::string trial_words(const TrialRecord& trial) {
  std::string text = fmt::format(
      "Test of resets: {} of {} cycles, {} failed{}\n", trial.cycles.size(), trial.wanted,
      trial.failures(), trial.has_ended ? "" : "; gpuvm or the host did not live to see its end");
  std::map<std::string, std::vector<std::uint64_t>> rows;
  for (const CycleRecord& cycle : trial.cycles) {
    for (const ResetRecord& reset : cycle.resets) {
      rows[reset.functions + ": " + reset.method].push_back(reset.duration_ms);
      text += reset.is_safe ? "" : fmt::format("  cycle {:>4}    {}\n", cycle.number, reset.text);
    }
    for (const WitnessRecord& witness : cycle.witnesses) {
      text += witness.is_cleared
                  ? ""
                  : fmt::format("  cycle {:>4}    the reset did not reach {} of {}\n", cycle.number,
                                witness.name, witness.function);
    }
  }
  for (auto& [name, times] : rows) {
    std::sort(times.begin(), times.end());
    text += fmt::format("  {}, {} times: {} to {} ms, median {}\n", name, times.size(),
                        times.front(), times.back(), times[times.size() / 2]);
  }
  return text + (trial.error.empty() ? "" : "  ended by      " + trial.error + "\n");
}

std::string verdict_words(const CardReport& report, const ReportDecision& today) {
  const auto& trial = report.trial;
  if (trial && (trial->failures() != 0 || !trial->has_ended)) {
    return "the test of its resets failed; give it to no guest";
  }
  if (trial && !trial->error.empty()) {
    return "its resets could not be tested: " + trial->error;
  }
  if (!today.plan_error.empty()) {
    return "not fit: " + today.plan_error;
  }
  for (const FunctionDecision& function : today.functions) {
    if (!function.opening.empty()) {
      return "not fit as the host is set up now: " + function.opening;
    }
  }
  if (today.sets.empty()) {
    return "none: it is of no function";
  }
  std::string unreset;
  for (const SetDecision& set : today.sets) {
    if (set.order.empty()) {
      return "not fit: no safe reset of " + set.functions + " is known";
    }
    if (set.order.front() == to_string(ResetMethod::kNone)) {
      unreset += (unreset.empty() ? "" : ", ") + set.functions;
    }
  }
  if (!unreset.empty()) {
    return "fit for guests that trust each other: nothing resets " + unreset +
           ", which is quieted and looked at in place of that";
  }
  if (trial) {
    return fmt::format("fit: all resets of {} cycles were verified", trial->cycles.size());
  }
  return "a reset is known, but not tested; --cycles 10 tests it";
}

}  // namespace

std::string report_text(const CardReport& report, const ReportDecision& today) {
  std::string text =
      fmt::format("Report of gpuvm {}: Linux {} ({}), IOMMU {}, {} (microcode {})\n\n",
                  report.gpuvm_version, report.host.kernel, report.host.kernel_package,
                  report.host.iommu, report.host.cpu_name, or_none(report.host.microcode));
  for (const FunctionRecord& function : report.functions) {
    text += facts_words(function);
    if (const auto* const now = decision_of(today, function.address)) {
      text += function_decision_words(*now, decision_of(report.decision, function.address));
    }
    text += "\n";
  }
  for (const SetDecision& set : today.sets) {
    text += set_words(set, set_of(report.decision, set.functions));
  }
  text += report.trial ? trial_words(*report.trial) : "";
  for (const std::string& gap : report.not_recorded) {
    text += "Not recorded: " + gap + "\n";
  }
  for (const std::string& remark : report.remarks) {
    text += "Remark: " + remark + "\n";
  }
  return text + "Verdict: " + verdict_words(report, today) + "\n";
}

Result<std::string> lspci_text(const CardReport& report, bool as_guest) {
  std::string text;
  for (const FunctionRecord& function : report.functions) {
    const auto& hardware = function.vfio ? function.vfio->config.bytes : function.config.bytes;
    const auto config = as_guest ? TRY(guest_config(report, function)) : hardware;
    text += fmt::format("{} function\n{}\n\n", function.address.to_string(),
                        joined(config_lines(config, true), "\n"));
  }
  return text;
}

}  // namespace gpuvm
