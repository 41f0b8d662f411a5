// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/confine.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <system_error>
#include <utility>

#include "vmm/sandbox/empty_root.hpp"

namespace gpuvm::sandbox {
namespace {

constexpr std::string_view kOwnerIsHere = "this process gives devices and files back itself";

std::string text_of_error(int error) {
  return std::generic_category().message(error);
}

bool may(unsigned number) {
  return (own_capabilities() & capability(number)) != 0;
}

/// Every thread is a folder there.
bool is_alone() {
  struct stat tasks {};
  constexpr nlink_t kOfAnEmptyFolder = 2;
  return ::stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink <= kOfAnEmptyFolder + 1;
}

class Confinement {
 public:
  explicit Confinement(const Plan& plan) : plan_(plan) {}

  Result<Layers> run() {
    note("dumpable", forbid_dumps(), "no ptrace by the same user, no core file");
    note("limits", set_limits(false), "no core file, no real-time priority");
    TRY(leave_tree());
    TRY(change_user());
    TRY(drop_capabilities());
    note("no_new_privs", set_no_new_privileges(), "");
    TRY(restrict_paths());
    return std::move(layers_);
  }

 private:
  void add(std::string name, bool in_force, std::string detail) {
    layers_.all.push_back({std::move(name), in_force, std::move(detail)});
  }
  void note(const char* name, int error, const char* detail) {
    add(name, error == 0, error == 0 ? detail : text_of_error(error));
  }

  /// A kernel or a container that forbids it to root is no reason not to start.
  Status leave_tree() {
    if (!plan_.has_owner || !may(CAP_SYS_ADMIN)) {
      add("root", false, plan_.has_owner ? "not root" : std::string(kOwnerIsHere));
      return {};
    }
    note("root", enter_empty_root(), "an empty folder");
    return {};
  }

  Status change_user() {
    if (!plan_.identity || !may(CAP_SETUID) || !may(CAP_SETGID)) {
      add("user", false,
          !plan_.has_owner  ? std::string(kOwnerIsHere)
          : !plan_.identity ? "sandbox.user is \"\""
                            : "not root: the user stays");
      return {};
    }
    const Identity& who = *plan_.identity;
    if (const int error = become(who); error != 0) {
      return fail_errno(ErrorKind::kHost,
                        fmt::format("Cannot become user {} (sandbox.user)", who.user), error);
    }
    add("user", true, fmt::format("{}, group {}", who.user, who.group));
    return {};
  }

  Status drop_capabilities() {
    const Capabilities kept = plan_.has_owner ? 0 : plan_.kept;
    if (const int error = keep_capabilities(kept); error != 0) {
      return fail_errno(ErrorKind::kHost, "Cannot give capabilities up", error);
    }
    if ((own_capabilities() & ~kept) != 0) {
      return fail(ErrorKind::kHost,
                  "The kernel leaves capabilities to a process that gave them up");
    }
    add("capabilities", true, kept == 0 ? "none" : "none but the worker's");
    return {};
  }

  Status restrict_paths() {
    const LandlockSupport support = landlock_support();
    if (support.abi == 0) {
      add("landlock", false, support.why_not);
      return {};
    }
    const std::vector<PathRule> none;
    const auto rules = TRY(LandlockRules::create(plan_.has_owner ? none : plan_.paths));
    if (const int error = rules.restrict_self(); error != 0) {
      return fail_errno(ErrorKind::kHost, "Landlock cannot be entered", error);
    }
    add("landlock", true, fmt::format("ABI {}", support.abi));
    return {};
  }

  const Plan& plan_;
  Layers layers_;
};

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

Result<Layers> confine(const Plan& plan) {
  if (plan.has_owner && !is_alone()) {
    return fail(ErrorKind::kInternal, "A monitor is confined while it has other threads");
  }
  return Confinement(plan).run();
}

}  // namespace gpuvm::sandbox
