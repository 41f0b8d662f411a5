// SPDX-License-Identifier: Apache-2.0
// gpuvm run: a guest, from its configuration to its end.
#include <sstream>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/preview/preview.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm::cli {
namespace {

/// So that all of --dry-run's output is TOML.
std::string as_comment(const std::string& text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    out += "# " + line + "\n";
  }
  return out;
}

}  // namespace

Result<int> run_verb(const RunArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  if (!arguments.dry_run) {
    auto result = run_machine(config, RunOptions{.inspect_file = arguments.inspect_file,
                                                 .event_file = arguments.event_file});
    return result.error ? Result<int>(*std::move(result.error)) : Result<int>(result.exit_status);
  }
  const HostSystem host;
  InspectNode node("The machine, and what is done to its devices (as gpuvm inspect shows it)");
  const auto findings = TRY(preview_machine(host, config, node));
  TRY(print(to_toml(config) + "\n" + as_comment(node.to_text())));
  for (const Finding& finding : findings) {
    TRY(finding.outcome);  // what the run would end with
  }
  return 0;
}

}  // namespace gpuvm::cli
