// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_plan.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

using Functions = std::vector<PlannedFunction>;

bool covers(std::span<const HotResetMember> members, const PhysicalDevice& device) {
  return std::any_of(members.begin(), members.end(), [&device](const HotResetMember& member) {
    return member.name() == device.name();
  });
}

Result<Functions> read_functions(std::span<PhysicalDevice* const> devices,
                                 std::span<const FunctionResetOptions> options) {
  Functions functions;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    PlannedFunction function;
    function.device = devices[i];
    if (i < options.size()) {
      function.options = options[i];
    }
    // One that does not answer now gets its reset all the same if it is known how it should look.
    function.before =
        function.options.known ? *function.options.known : TRY(read_function_state(*devices[i]));
    if (function.before.express != 0) {
      function.before.link_width =
          std::max(function.before.link_width, function.options.link_width);
    }
    function.policy = &find_reset_policy(function.before.vendor, function.before.device,
                                         function.before.class_code);
    functions.push_back(function);
  }
  return functions;
}

Status take_choice(ResetSet& set) {
  const PlannedFunction* first = nullptr;
  for (const PlannedFunction& function : set.functions) {
    if (!function.options.method) {
      continue;
    }
    if (first != nullptr && *first->options.method != *function.options.method) {
      return fail(ErrorKind::kConfig,
                  "{} and {} are reset together, but reset = says {} for one and {} for the other",
                  first->device->name(), function.device->name(), to_string(*first->options.method),
                  to_string(*function.options.method));
    }
    first = first == nullptr ? &function : first;
  }
  set.chosen = first == nullptr ? std::nullopt : first->options.method;
  return {};
}

bool allows(const ResetPolicy& policy, ResetMethod method) {
  return method == ResetMethod::kHotReset ? policy.allows_hot_reset : policy.allows_function_reset;
}

/// Why the policy forbids a method for a function of the set, unless the user insists.
std::string policy_obstacle(ResetSet& set, ResetMethod method) {
  for (const PlannedFunction& function : set.functions) {
    if (allows(*function.policy, method)) {
      continue;
    }
    std::string reason =
        fmt::format("not for {} ({}): {} (source: {})", function.device->name(),
                    function.policy->name, function.policy->reason, function.policy->source);
    if (set.chosen != method) {
      return reason;
    }
    set.warning =
        fmt::format("The configuration chose a {}, which is {}", to_string(method), reason);
  }
  return {};
}

/// Members of a hot reset that the guest does not own, as text.
std::string strangers(std::span<const HotResetMember> members,
                      std::span<PhysicalDevice* const> devices) {
  std::string names;
  for (const HotResetMember& member : members) {
    const std::string name = member.name();
    const bool is_ours =
        std::any_of(devices.begin(), devices.end(),
                    [&name](const PhysicalDevice* device) { return device->name() == name; });
    if (!is_ours) {
      names += (names.empty() ? "" : ", ") + name;
    }
  }
  return names;
}

std::string hot_reset_obstacle(ResetSet& set, std::span<PhysicalDevice* const> devices) {
  std::string obstacle = policy_obstacle(set, ResetMethod::kHotReset);
  if (!obstacle.empty()) {
    return obstacle;
  }
  const std::string names = strangers(set.hot_members, devices);
  if (!names.empty()) {
    return fmt::format(
        "it would also reset {}, which the guest does not own: pass that through too, or set "
        "functions = \"all\"",
        names);
  }
  return {};
}

std::string stale_after_function_reset(const ResetSet& set) {
  for (const PlannedFunction& function : set.functions) {
    const ResetPolicy& policy = *function.policy;
    const bool is_for_want_of_better =
        !set.hot_reset_obstacle.empty() || set.chosen == ResetMethod::kFunctionReset;
    if (!policy.function_reset_suffices && !is_for_want_of_better) {
      return fmt::format("not in place of a hot reset for {} ({}): {} (source: {})",
                         function.device->name(), policy.name, policy.reason, policy.source);
    }
  }
  return {};
}

// A function without a reset of its own is tolerated beside one that has it (the audio function of
// a GPU), but not as the only one, and never when it is the display controller itself.
std::string function_reset_obstacle(ResetSet& set) {
  std::string obstacle = policy_obstacle(set, ResetMethod::kFunctionReset);
  if (!obstacle.empty()) {
    return obstacle;
  }
  obstacle = stale_after_function_reset(set);
  if (!obstacle.empty()) {
    return obstacle;
  }
  bool any = false;
  for (const PlannedFunction& function : set.functions) {
    const std::string& name = function.device->name();
    const bool has_reset = function.device->has_function_reset();
    any = any || has_reset;
    if (!has_reset && function.before.is_display()) {
      return name + " has none";
    }
  }
  return any ? "" : set.names() + " has none";
}

bool prefers_function_reset(const ResetSet& set) {
  return std::any_of(set.functions.begin(), set.functions.end(),
                     [](const PlannedFunction& function) {
                       return function.policy->preferred == ResetMethod::kFunctionReset;
                     });
}

void choose_settle(ResetSet& set, const ResetOptions& options) {
  for (const PlannedFunction& function : set.functions) {
    set.settle = std::max(set.settle, function.options.settle.value_or(function.policy->settle));
  }
  set.settle = options.settle.value_or(set.settle);
}

std::string_view possible_or(const std::string& obstacle) {
  return obstacle.empty() ? std::string_view("possible") : std::string_view(obstacle);
}

std::string obstacles_of(const ResetSet& set) {
  return fmt::format("Hot reset: {}. Function reset: {}", possible_or(set.hot_reset_obstacle),
                     possible_or(set.function_reset_obstacle));
}

bool has_gpu(const ResetSet& set) {
  return std::any_of(set.functions.begin(), set.functions.end(),
                     [](const PlannedFunction& function) { return function.before.is_gpu(); });
}

/// Controllers of a chipset often have no reset at all, and their drivers reset them by their own
/// registers. A GPU keeps firmware and locked memory, so there the user has to say it.
void go_without_reset(ResetSet& set) {
  set.rungs = {ResetMethod::kNone};
  set.note = fmt::format("{}: no reset is possible, so gpuvm quiesces and checks only. {}",
                         set.names(), obstacles_of(set));
}

void choose_rungs(ResetSet& set, const ResetOptions& options) {
  if (set.chosen == ResetMethod::kNone) {
    set.rungs = {ResetMethod::kNone};
    set.warning = "The configuration forbids every reset: what a guest leaves in " + set.names() +
                  " stays there";
    return;
  }
  const auto wanted = set.chosen ? set.chosen : options.only;
  std::vector<ResetMethod> order{ResetMethod::kHotReset, ResetMethod::kFunctionReset};
  if (prefers_function_reset(set)) {
    std::reverse(order.begin(), order.end());
  }
  for (const ResetMethod method : order) {
    const bool is_possible = method == ResetMethod::kHotReset ? set.hot_reset_obstacle.empty()
                                                              : set.function_reset_obstacle.empty();
    if (is_possible && wanted.value_or(method) == method) {
      set.rungs.push_back(method);
      // Right behind the hot reset, whose link it mends.
      if (method == ResetMethod::kHotReset && set.link_retrain_obstacle.empty()) {
        set.rungs.push_back(ResetMethod::kLinkRetrain);
      }
    }
  }
  if (set.rungs.empty() && !wanted && !has_gpu(set)) {
    go_without_reset(set);
  }
}

bool is_in_slot_of(const PhysicalDevice& one, const PhysicalDevice& other) {
  const auto a = Bdf::parse(one.name());
  const auto b = Bdf::parse(other.name());
  return a && b && a->same_slot(*b);
}

/// Whether one of them is a display controller in the slot of `device`.
bool has_display_in_slot(const Functions& functions, const PhysicalDevice& device) {
  return std::any_of(
      functions.begin(), functions.end(), [&device](const PlannedFunction& function) {
        return function.before.is_display() && is_in_slot_of(device, *function.device);
      });
}

/// Moves the first function and all that a hot reset of it covers from `rest` into a set. Where the
/// host offers no hot reset, as for cards that vendor-reset looks after, a GPU and what is in its
/// slot are a set all the same: its audio function has no reset of its own, and needs none.
Result<ResetSet> take_set(PhysicalHost& host, Functions& rest,
                          std::span<PhysicalDevice* const> devices) {
  ResetSet set;
  PhysicalDevice& first = *rest.front().device;
  auto members = host.hot_reset_set(first);
  if (!members) {
    set.hot_reset_obstacle = members.error().to_string();
  } else if (!covers(*members, first)) {
    set.hot_reset_obstacle = "the host's list of what it would reset does not hold " + first.name();
  } else {
    set.hot_members = *std::move(members);
  }
  const bool is_gpu_slot = set.hot_members.empty() && has_display_in_slot(rest, first);
  const auto belongs = [&](const PlannedFunction& function) {
    return function.device == &first || covers(set.hot_members, *function.device) ||
           (is_gpu_slot && is_in_slot_of(first, *function.device));
  };
  std::copy_if(rest.begin(), rest.end(), std::back_inserter(set.functions), belongs);
  rest.erase(std::remove_if(rest.begin(), rest.end(), belongs), rest.end());
  TRY(take_choice(set));
  if (set.hot_reset_obstacle.empty()) {
    set.hot_reset_obstacle = hot_reset_obstacle(set, devices);
  }
  set.function_reset_obstacle = function_reset_obstacle(set);
  if (const Status can_retrain = host.check_link_retrain(first); !can_retrain) {
    set.link_retrain_obstacle = can_retrain.error().to_string();
  }
  return set;
}

}  // namespace

std::string ResetSet::names() const {
  std::string text;
  for (const PlannedFunction& function : functions) {
    text += (text.empty() ? "" : ", ") + function.device->name();
  }
  return text;
}

Error no_reset_error(const ResetSet& set) {
  return fail(
      ErrorKind::kUnsafeDevice,
      "No safe reset is known for {}, so the guest may not have it, unless reset = \"none\" in its "
      "[[pci]] entry says so: then it is quiesced and checked only. {}",
      set.names(), obstacles_of(set));
}

Result<ResetPlan> ResetPlan::create(PhysicalHost& host, std::span<PhysicalDevice* const> devices,
                                    const ResetOptions& options,
                                    std::span<const FunctionResetOptions> functions) {
  ResetPlan plan(options);
  Functions rest = TRY(read_functions(devices, functions));
  while (!rest.empty()) {
    ResetSet set = TRY(take_set(host, rest, devices));
    choose_rungs(set, options);
    choose_settle(set, options);
    plan.sets_.push_back(std::move(set));
  }
  return plan;
}

void ResetPlan::try_last(
    const std::function<bool(const std::string& function, ResetMethod method)>& does_not_help) {
  for (ResetSet& set : sets_) {
    std::stable_partition(set.rungs.begin(), set.rungs.end(), [&](ResetMethod method) {
      return std::none_of(set.functions.begin(), set.functions.end(),
                          [&](const PlannedFunction& function) {
                            return does_not_help(function.device->name(), method);
                          });
    });
  }
}

Status ResetPlan::check() const {
  for (const ResetSet& set : sets_) {
    if (set.rungs.empty()) {
      return no_reset_error(set);
    }
  }
  return {};
}

void ResetPlan::inspect(InspectNode& node) const {
  for (const ResetSet& set : sets_) {
    InspectNode& child = node.child(set.names());
    std::string order;
    for (const ResetMethod method : set.rungs) {
      order += (order.empty() ? "" : ", then ") + std::string(to_string(method));
    }
    child.field("order", order.empty() ? "none: the guest may not start" : order);
    child.field("hot_reset", possible_or(set.hot_reset_obstacle));
    child.field("function_reset", possible_or(set.function_reset_obstacle));
    child.field("link_retraining", possible_or(set.link_retrain_obstacle));
    std::string members;
    for (const HotResetMember& member : set.hot_members) {
      members += (members.empty() ? "" : ", ") + member.name();
    }
    child.field("hot_reset_covers", members);
    child.field("settle_ms", static_cast<std::uint64_t>(set.settle.count()));
    if (!set.warning.empty()) {
      child.field("warning", set.warning);
    }
    if (!set.note.empty()) {
      child.field("note", set.note);
    }
    for (const PlannedFunction& function : set.functions) {
      InspectNode& leaf = child.child(function.device->name());
      leaf.field("id",
                 fmt::format("{:04x}:{:04x}", function.before.vendor, function.before.device));
      leaf.field("policy", function.policy->name);
      leaf.field("reason", function.policy->reason);
      leaf.field("source", function.policy->source);
      leaf.field("has_function_reset", function.device->has_function_reset());
      leaf.field("flr", function.before.has_flr);
      leaf.field("no_soft_reset", function.before.no_soft_reset);
      if (function.before.link_width != 0) {
        leaf.field("link", fmt::format("generation {} x{}", function.before.link_speed,
                                       function.before.link_width));
      }
    }
  }
}

}  // namespace gpuvm
