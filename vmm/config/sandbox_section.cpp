// SPDX-License-Identifier: Apache-2.0
// [sandbox]: what contains a guest that has taken over its monitor.
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

Result<SandboxConfig> read_sandbox(TableReader table) {
  SandboxConfig sandbox;
  sandbox.mode = TRY(table.choice("mode", sandbox.mode));
  sandbox.owner = TRY(table.choice("owner", sandbox.owner));
  sandbox.user = TRY(table.optional_string("user")).value_or("");
  sandbox.group = TRY(table.optional_string("group")).value_or("");
  sandbox.log = TRY(table.optional_path("log")).value_or("");
  sandbox.helper_user = TRY(table.optional_string("helper_user")).value_or("");
  TRY(table.finish());
  if (!sandbox.group.empty() && sandbox.user.empty()) {
    return table.wrong("group", "is set without sandbox.user, whose group it would be");
  }
  if (!sandbox.log.empty() && sandbox.mode != SandboxMode::kLog) {
    return table.wrong("log", "is only for sandbox.mode = \"log\"");
  }
  return sandbox;
}

}  // namespace gpuvm::config
