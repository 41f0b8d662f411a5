// SPDX-License-Identifier: Apache-2.0
// gpuvm dump: what a guest would be given, in a form that other tools read.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/preview/describe_tree.hpp"

namespace gpuvm::cli {

Result<int> dump_fdt_verb(const DumpArguments& arguments) {
  TRY(set_up_log({.verbosity = 0, .quiet = true, .file = {}}));
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  TRY(print(TRY(describe_tree(config, HostSystem()))));
  return 0;
}

}  // namespace gpuvm::cli
