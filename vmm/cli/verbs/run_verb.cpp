// SPDX-License-Identifier: Apache-2.0
// gpuvm run: a guest, from its configuration to its end.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/run.hpp"

namespace gpuvm::cli {

Result<int> run_verb(const RunArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  if (!arguments.dry_run) {
    return run_machine(config, RunOptions{.inspect_file = arguments.inspect_file});
  }
  TRY(print(to_toml(config) + "\n"));
  TRY(print(TRY(describe_machine(config))));
  return 0;
}

}  // namespace gpuvm::cli
