// SPDX-License-Identifier: Apache-2.0
// [sandbox]: what contains a guest that has taken over its monitor.
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

Result<SandboxConfig> read_sandbox(TableReader table) {
  SandboxConfig sandbox;
  sandbox.owner = TRY(table.choice("owner", sandbox.owner));
  TRY(table.finish());
  return sandbox;
}

}  // namespace gpuvm::config
