// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/environment.hpp"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace gpuvm {
namespace {

constexpr std::array<std::string_view, 26> kKept = {
    // of gpuvm itself
    "PATH", "HOME", "USER", "LOGNAME", "TERM", "NO_COLOR", "TMPDIR", "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY",
    // of systemd.exec(5) and sd-bus(3)
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "INVOCATION_ID",
    "STATE_DIRECTORY", "DBUS_SYSTEM_BUS_ADDRESS",
    // of the C library
    "TZ", "LANG", "LANGUAGE",
    // by which a CI system finds what its job has left behind: GitHub's runner, Jenkins
    "RUNNER_TRACKING_ID", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE", "BUILD_ID",
    // where a build for coverage writes
    "LLVM_PROFILE_FILE"};

constexpr std::array<std::string_view, 4> kKeptBeginnings = {"LC_", "LD_", "SYSTEMD_", "GCOV_"};

bool is_kept(std::string_view variable) {
  const auto name = variable.substr(0, variable.find('='));
  return std::find(kKept.begin(), kKept.end(), name) != kKept.end() ||
         std::any_of(kKeptBeginnings.begin(), kKeptBeginnings.end(),
                     [name](std::string_view start) { return name.starts_with(start); });
}

}  // namespace

void forget_environment() {
  if (environ != nullptr) {
    forget_environment(environ);
  }
}

void forget_environment(char** environment) {
  char** kept = environment;
  for (char** next = environment; *next != nullptr; ++next) {
    if (is_kept(*next)) {
      *kept++ = *next;
    } else {
      ::explicit_bzero(*next, ::strlen(*next));
    }
  }
  *kept = nullptr;
}

}  // namespace gpuvm
