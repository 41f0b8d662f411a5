// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report/decide.hpp"

#include <algorithm>
#include <memory>

#include "devices/passthrough/capability_policy.hpp"
#include "devices/passthrough/function_plan.hpp"
#include "devices/passthrough/quirks/quirk_policy.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/physical/reset/reset_plan.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/machine/report/recorded_function.hpp"

namespace gpuvm {
namespace {

const ResetPolicy& recorded_policy(const FunctionRecord& function) {
  return find_reset_policy(function.ids.vendor, function.ids.device, function.ids.class_code);
}

bool has_slot_mates(const CardReport& report, const FunctionRecord& function) {
  return std::any_of(
      report.functions.begin(), report.functions.end(), [&function](const FunctionRecord& other) {
        return other.address != function.address && other.address.same_slot(function.address);
      });
}

/// As a root port of its own shows it.
PcieLink link_of_slot(const CardReport& report, const FunctionRecord& function) {
  PcieLink link;
  for (const FunctionRecord& other : report.functions) {
    if (!other.address.same_slot(function.address)) {
      continue;
    }
    if (const auto facts = recorded_facts(other)) {
      link = link.at_least(facts->link_capability);
    }
  }
  return link;
}

/// "MSI (05) at 0x68"
std::string capability_text(bool is_extended, std::uint16_t id, std::uint16_t offset) {
  const auto& policy = is_extended ? extended_policy(id) : standard_policy(id);
  return fmt::format("{} ({}{:02x}) at {:#x}", policy.name, is_extended ? "extended " : "", id,
                     offset);
}

using RecordedHeaders = std::vector<CapabilityHeader>;

std::vector<std::string> capability_texts(const RecordedHeaders& some, const RecordedHeaders& but,
                                          bool are_extended) {
  std::vector<std::string> texts;
  for (const CapabilityHeader& capability : some) {
    const bool is_in_both =
        std::any_of(but.begin(), but.end(), [&capability](const CapabilityHeader& other) {
          return other.offset == capability.offset && other.id == capability.id;
        });
    if (!is_in_both) {
      texts.push_back(capability_text(are_extended, capability.id, capability.offset));
    }
  }
  return texts;
}

void add_texts(std::vector<std::string>& all, std::vector<std::string> some) {
  std::move(some.begin(), some.end(), std::back_inserter(all));
}

/// What the guest sees of both chains.
void describe_view(const CardReport& report, const FunctionRecord& function,
                   FunctionDecision& decision) {
  const auto view = guest_config(report, function);
  if (!view) {
    decision.patch_error = view.error().to_string();
    return;
  }
  const auto& config = function.vfio ? function.vfio->config.bytes : function.config.bytes;
  const auto shown = standard_capabilities(*view);
  auto extended = extended_capabilities(*view);
  std::erase_if(extended, [](const CapabilityHeader& each) { return each.id == 0; });
  add_texts(decision.shown, capability_texts(shown, {}, false));
  add_texts(decision.shown, capability_texts(extended, {}, true));
  add_texts(decision.not_shown, capability_texts(standard_capabilities(config), shown, false));
  add_texts(decision.not_shown, capability_texts(extended_capabilities(config), extended, true));
}

FunctionDecision decide_function(const CardReport& report, const FunctionRecord& function) {
  const ResetPolicy& policy = recorded_policy(function);
  FunctionDecision decision{.address = function.address,
                            .policy = std::string(policy.name),
                            .reason = std::string(policy.reason),
                            .source = std::string(policy.source),
                            .first_choice = std::string(to_string(policy.preferred))};
  const Status opening =
      check_kernel_reset_methods(function.address.to_string(), policy, function.reset_methods,
                                 has_slot_mates(report, function));
  decision.opening = opening ? "" : opening.error().to_string();
  for (const QuirkKind kind : possible_quirks(function.config.bytes)) {
    decision.quirks.emplace_back(policy_of(kind).name);
  }
  describe_view(report, function, decision);
  return decision;
}

SetDecision decide_set(const ResetSet& set) {
  const auto possible_or = [](const std::string& obstacle) {
    return obstacle.empty() ? std::string("possible") : obstacle;
  };
  SetDecision decision{.functions = set.names(),
                       .hot_reset = possible_or(set.hot_reset_obstacle),
                       .function_reset = possible_or(set.function_reset_obstacle),
                       .settle_ms = static_cast<std::uint64_t>(set.settle.count()),
                       .warning = set.warning,
                       .note = set.note};
  for (const ResetMethod method : set.rungs) {
    decision.order.emplace_back(to_string(method));
  }
  return decision;
}

void decide_resets(const CardReport& report, ReportDecision& decision) {
  std::vector<std::unique_ptr<RecordedFunction>> functions;
  std::vector<PhysicalDevice*> devices;
  std::vector<FunctionResetOptions> options;
  for (const FunctionRecord& record : report.functions) {
    functions.push_back(std::make_unique<RecordedFunction>(record));
    devices.push_back(functions.back().get());
    FunctionResetOptions option;
    option.link_width = static_cast<std::uint8_t>(record.link.width);
    options.push_back(option);
  }
  RecordedHost host;
  const auto plan = ResetPlan::create(host, devices, {}, options);
  if (!plan) {
    decision.plan_error = plan.error().to_string();
    return;
  }
  for (const ResetSet& set : plan->sets()) {
    decision.sets.push_back(decide_set(set));
  }
}

}  // namespace

ReportDecision decide(const CardReport& report) {
  ReportDecision decision;
  for (const FunctionRecord& function : report.functions) {
    decision.functions.push_back(decide_function(report, function));
  }
  decide_resets(report, decision);
  return decision;
}

Result<std::vector<std::byte>> guest_config(const CardReport& report,
                                            const FunctionRecord& function) {
  auto facts = TRY(recorded_facts(function));
  const auto plan = TRY(FunctionPlan::create(
      function.address.to_string(), facts, {},
      {.multi_function = function.address.function == 0 && has_slot_mates(report, function),
       .link = link_of_slot(report, function),
       .hide_function_reset = hides_function_reset(recorded_policy(function), {})}));
  auto view = std::move(facts.config);
  for (std::size_t offset = 0; offset + 4 <= view.size(); offset += 4) {
    const auto dword = std::span(view).subspan(offset, 4);
    store_le(dword, plan.patch.apply(static_cast<std::uint16_t>(offset),
                                     static_cast<std::uint32_t>(load_le(dword))));
  }
  return view;
}

}  // namespace gpuvm
