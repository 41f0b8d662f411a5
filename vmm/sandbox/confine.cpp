// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/confine.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "vmm/sandbox/empty_root.hpp"

namespace gpuvm::sandbox {
namespace {

bool may(unsigned number) {
  return (own_capabilities() & capability(number)) != 0;
}

Layer layer_of(const char* name, int error, const char* detail) {
  return {.name = name,
          .in_force = error == 0,
          .detail = error == 0 ? detail : std::generic_category().message(error)};
}

/// With `kept` in force afterwards, of what the calling thread has: a change of user from root
/// would take all (capabilities(7), "Effect of user ID changes on capabilities"). 0 or errno.
int become_keeping(const Identity& identity, Capabilities kept) noexcept {
  if (::prctl(PR_SET_KEEPCAPS, kept == 0 ? 0UL : 1UL, 0UL, 0UL, 0UL) != 0) {
    return errno;
  }
  int error = become(identity);
  if (error == 0) {
    // The kernel has just put fs.suid_dumpable in its place, which may allow dumps (proc(5)).
    error = forbid_dumps();
  }
  if (error == 0) {
    error = use_capabilities(kept);
  }
  ::prctl(PR_SET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL);
  return error;
}

}  // namespace

std::string Layers::text() const {
  std::string in_force;
  std::string missing;
  for (const Layer& layer : all) {
    std::string& list = layer.in_force ? in_force : missing;
    list += (list.empty() ? "" : ", ") + layer.name;
    if (!layer.detail.empty()) {
      list += fmt::format(" ({})", layer.detail);
    }
  }
  in_force = in_force.empty() ? "none" : in_force;
  return missing.empty() ? in_force : fmt::format("{}; not: {}", in_force, missing);
}

void Layers::inspect(InspectNode& node) const {
  for (const Layer& layer : all) {
    auto& of_layer = node.child(layer.name);
    of_layer.field("in_force", layer.in_force);
    if (!layer.detail.empty()) {
      of_layer.field("detail", layer.detail);
    }
  }
}

Result<Confinement> Confinement::create(Plan plan) {
  Confinement made;
  made.plan_ = std::move(plan);
  made.add("no_new_privs", true, "");
  made.plan_root();
  made.plan_user();
  made.plan_capabilities();
  TRY(made.plan_landlock());
  return made;
}

void Confinement::add(const char* name, bool in_force, std::string detail) {
  layers_.all.push_back({.name = name, .in_force = in_force, .detail = std::move(detail)});
}

void Confinement::plan_root() {
  if (!plan_.empty_root) {
    return;
  }
  plan_.empty_root = may(CAP_SYS_ADMIN);
  add("root", plan_.empty_root, plan_.empty_root ? "an empty folder" : "not root");
}

void Confinement::plan_user() {
  if (!plan_.identity) {
    return;
  }
  if (!may(CAP_SETUID) || !may(CAP_SETGID)) {
    plan_.identity.reset();
    add("user", false, "not root: the user stays");
    return;
  }
  add("user", true, fmt::format("{}, group {}", plan_.identity->user, plan_.identity->group));
}

void Confinement::plan_capabilities() {
  add("capabilities", true, (own_capabilities() & plan_.kept) == 0 ? "none" : "some are kept");
}

Status Confinement::plan_landlock() {
  if (!plan_.paths) {
    return {};
  }
  const LandlockSupport support = landlock_support();
  if (support.abi == 0) {
    add("landlock", false, support.why_not);
    return {};
  }
  rules_ = TRY(LandlockRules::create(*plan_.paths));
  add("landlock", true, fmt::format("ABI {}", support.abi));
  return {};
}

int Confinement::enter() const noexcept {
  int error = 0;
  if (plan_.empty_root) {
    error = enter_empty_root();
  }
  if (error == 0 && plan_.identity) {
    error = become_keeping(*plan_.identity, plan_.kept);
  }
  if (error == 0) {
    error = keep_capabilities(plan_.kept);
  }
  if (error == 0) {
    error = set_no_new_privileges();
  }
  if (error == 0 && rules_) {
    error = rules_->restrict_self();
  }
  return error;
}

std::vector<Layer> confine_process() {
  return {layer_of("dumpable", forbid_dumps(), "no ptrace by the same user, no core dump"),
          layer_of("limits", set_limits(false), "no core dump, no real-time priority")};
}

}  // namespace gpuvm::sandbox
