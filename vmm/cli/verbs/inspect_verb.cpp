// SPDX-License-Identifier: Apache-2.0
// gpuvm inspect: the machine that a configuration makes on this host, and what would be done to its
// devices; or, for the name of a guest that runs, its machine as it is.
#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/preview/found_functions.hpp"
#include "vmm/machine/preview/preview.hpp"

namespace gpuvm::cli {

Result<int> inspect_verb(const InspectArguments& arguments) {
  if (arguments.overrides.empty() && is_running_guest(arguments.config_file)) {
    return inspect_guest_verb({.guest = arguments.config_file, .json = arguments.json});
  }
  TRY(check_inspected(arguments.config_file));
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
