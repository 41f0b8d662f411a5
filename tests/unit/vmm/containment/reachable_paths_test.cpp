// SPDX-License-Identifier: Apache-2.0
#include "vmm/containment/reachable_paths.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace gpuvm::reachable_paths_test {
namespace {

using sandbox::PathAccess;

BootConfig boot_of(const std::string& kernel) {
  BootConfig boot;
  boot.kernel = kernel;
  return boot;
}

std::optional<PathAccess> access_of(const std::vector<sandbox::PathRule>& rules,
                                    const std::string& path) {
  const auto found = std::find_if(rules.begin(), rules.end(),
                                  [&path](const auto& rule) { return rule.path == path; });
  return found == rules.end() ? std::nullopt : std::optional(found->access);
}

/// 0 or errno of opening the file, in a child that has the rules.
int error_of_open(const std::vector<sandbox::PathRule>& rules, const char* path, int flags) {
  const auto made = sandbox::LandlockRules::create(rules);
  if (!made) {
    return -1;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_confined = made->restrict_self() == 0;
    const int fd = ::open(path, flags);
    ::_exit(!is_confined ? 255 : fd < 0 ? errno : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(WorkerPaths, OfSysfsOnlyFunctionsAreWritten) {
  const auto rules = worker_paths(boot_of("/boot/vmlinuz"), false);
  EXPECT_EQ(access_of(rules, "/sys"), PathAccess::kRead);
  EXPECT_EQ(access_of(rules, "/sys/bus/pci"), PathAccess::kWrite);
  EXPECT_EQ(access_of(rules, "/sys/devices"), PathAccess::kWrite);
  EXPECT_EQ(access_of(rules, "/boot"), PathAccess::kRead);
}

/// Marks, records of drivers and variables are the owner's, and so is whatever is written to sysfs.
TEST(WorkerPaths, AMonitorOfAnOwnerReachesNothing) {
  EXPECT_TRUE(worker_paths(boot_of("/boot/vmlinuz"), true).empty());
  EXPECT_TRUE(variable_paths("/var/lib/gpuvm/one.vars", true).empty());
}

/// An attribute that every kernel has, and that tells the kernel what to do.
TEST(WorkerPaths, TheRestOfSysfsIsRefusedByTheKernel) {
  constexpr const char* kRest = "/sys/kernel/profiling";
  constexpr const char* kOther = "/sys/kernel/mm/transparent_hugepage/enabled";
  const char* const attribute = ::access(kOther, W_OK) == 0 ? kOther : kRest;
  if (sandbox::landlock_support().abi == 0 || ::access(attribute, W_OK) != 0) {
    GTEST_SKIP() << "needs root and Landlock";
  }
  const auto rules = worker_paths(boot_of("/boot/vmlinuz"), false);
  EXPECT_EQ(error_of_open(rules, attribute, O_WRONLY), EACCES);
  EXPECT_EQ(error_of_open(rules, attribute, O_RDONLY), 0);
  if (::access("/sys/bus/pci/drivers_probe", W_OK) == 0) {
    EXPECT_EQ(error_of_open(rules, "/sys/bus/pci/drivers_probe", O_WRONLY), 0);
  }
}

TEST(VariablePaths, AreTheFolderAlone) {
  EXPECT_TRUE(variable_paths(std::nullopt, false).empty());
  const auto rules = variable_paths("/var/lib/gpuvm/one.vars", false);
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(access_of(rules, "/var/lib/gpuvm"), PathAccess::kManage);
}

}  // namespace
}  // namespace gpuvm::reachable_paths_test
