// SPDX-License-Identifier: Apache-2.0
// gpuvm validate: the configuration alone. Files that it names and the host are not looked at; that
// is what `gpuvm run --dry-run` does. What is allowed, and hardly meant, is told.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/config/remarks.hpp"

namespace gpuvm::cli {

Result<int> validate_verb(const ValidateArguments& arguments) {
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  TRY(print(fmt::format("{} is valid\n", arguments.config_file)));
  for (const auto& remark : remarks_on(config)) {
    TRY(print(remark + "\n"));
  }
  return 0;
}

}  // namespace gpuvm::cli
