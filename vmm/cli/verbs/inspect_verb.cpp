// SPDX-License-Identifier: Apache-2.0
// gpuvm inspect: the machine that a configuration makes on this host, and what would be done to its
// devices.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/preview/found_functions.hpp"
#include "vmm/machine/preview/preview.hpp"

namespace gpuvm::cli {

Result<int> inspect_verb(const InspectArguments& arguments) {
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  const HostSystem host;
  InspectNode node("guest " + config.name);
  const auto cards = preview_cards(host, config, node);
  const auto findings = TRY(preview_machine(host, cards.config, node));
  TRY(print(arguments.json ? node.to_json() + "\n" : node.to_text()));
  TRY(cards.left_out);
  for (const Finding& finding : findings) {
    TRY(finding.check == kEntriesCheck ? finding.outcome : Status());  // a device is not shown
  }
  return 0;
}

}  // namespace gpuvm::cli
