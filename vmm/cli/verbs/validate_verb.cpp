// SPDX-License-Identifier: Apache-2.0
// gpuvm validate: the configuration alone. Files that it names and the host are not looked at; that
// is what `gpuvm run --dry-run` does.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm::cli {

Result<int> validate_verb(const ValidateArguments& arguments) {
  TRY(load_config(arguments.config_file, arguments.overrides));
  TRY(print(fmt::format("{} is valid\n", arguments.config_file)));
  return 0;
}

}  // namespace gpuvm::cli
