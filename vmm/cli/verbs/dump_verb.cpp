// SPDX-License-Identifier: Apache-2.0
// gpuvm dump: what a guest would be given, in a form that other tools read.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/preview/describe_tree.hpp"

namespace gpuvm::cli {

Result<int> dump_fdt_verb(const DumpArguments& arguments) {
  TRY(set_up_log({.verbosity = 0, .quiet = true, .file = {}, .format = "text"}));
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  const HostSystem host;
  InspectNode unused;
  const auto cards = preview_cards(host, config, unused);  // one that is taken is described, too
  TRY(cards.left_out);
  TRY(print(TRY(describe_tree(cards.config, host))));
  return 0;
}

}  // namespace gpuvm::cli
