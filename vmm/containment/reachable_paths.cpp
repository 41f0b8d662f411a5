// SPDX-License-Identifier: Apache-2.0
#include "vmm/containment/reachable_paths.hpp"

#include <filesystem>
#include <system_error>

namespace gpuvm {
namespace {

using sandbox::PathAccess;
using sandbox::PathRule;

/// Its folder: a file that takes the place of the one that is there now is another one.
PathRule below_folder_of(const std::string& file, PathAccess access) {
  const auto folder = std::filesystem::path(file).parent_path().string();
  return {.path = folder.empty() ? "." : folder, .access = access};
}

/// Of the file itself: Landlock asks about that, and not about links on the way. The folder of a
/// link such as /vmlinuz would be the whole host.
PathRule below_folder_of_target(const std::string& file) {
  std::error_code error;
  const auto target = std::filesystem::canonical(file, error);
  return below_folder_of(error ? file : target.string(), PathAccess::kRead);
}

}  // namespace

std::vector<PathRule> worker_paths(const BootConfig& boot, bool has_owner) {
  if (has_owner) {
    return {};
  }
  std::vector<PathRule> rules = {{.path = "/sys", .access = PathAccess::kRead},
                                 {.path = "/proc", .access = PathAccess::kRead}};
  // Of sysfs what leads to functions, their drivers and slots. In the rest of it are programs for
  // the kernel to run (uevent_helper), debugging, tracing, firmware variables and power.
  rules.push_back({.path = "/sys/bus/pci", .access = PathAccess::kWrite});
  rules.push_back({.path = "/sys/devices", .access = PathAccess::kWrite});
  rules.push_back({.path = "/run/gpuvm", .access = PathAccess::kManage});
  if (!boot.kernel.empty()) {
    rules.push_back(below_folder_of_target(boot.kernel));
  }
  if (boot.initrd) {
    rules.push_back(below_folder_of_target(*boot.initrd));
  }
  return rules;
}

std::vector<PathRule> variable_paths(const std::optional<std::string>& variables, bool has_owner) {
  return variables && !has_owner ? std::vector{below_folder_of(*variables, PathAccess::kManage)}
                                 : std::vector<PathRule>();
}

}  // namespace gpuvm
