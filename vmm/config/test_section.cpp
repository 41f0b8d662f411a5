// SPDX-License-Identifier: Apache-2.0
// [test]: how a guest may tell what came of it.
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

Result<TestConfig> read_test(TableReader table) {
  TestConfig test;
  test.exit_port = TRY(table.boolean("exit_port", test.exit_port));
  test.pvpanic = TRY(table.boolean("pvpanic", test.pvpanic));
  TRY(table.finish());
  return test;
}

}  // namespace gpuvm::config
