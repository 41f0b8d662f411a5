// SPDX-License-Identifier: Apache-2.0
// gpuvm run: a guest, from its configuration to its end.
#include <sstream>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/containment/sandbox_guard.hpp"
#include "vmm/machine/owner/owned_run.hpp"
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

Result<int> show_run(const Config& config) {
  const HostSystem host;
  InspectNode node("The machine, and what is done to its devices (as gpuvm inspect shows it)");
  const auto cards = preview_cards(host, config, node);
  const auto findings = TRY(preview_machine(host, cards.config, node));
  TRY(print(to_toml(cards.config) + "\n" + as_comment(node.to_text())));
  for (const auto& found : {cards.findings, findings}) {
    for (const Finding& finding : found) {
      TRY(finding.outcome);  // what the run would end with
    }
  }
  return 0;
}

Result<int> ended(RunResult result) {
  return result.error ? Result<int>(*std::move(result.error)) : Result<int>(result.exit_status);
}

/// Another process runs the guest: there is nothing here to contain.
Result<int> run_warm(const RunArguments& arguments, const Config& config) {
  RunOptions options;
  options.inspect_file = arguments.inspect_file;
  options.event_file = arguments.event_file;
  std::chrono::milliseconds waited{0};
  return ended(run_warm_with_cards({.pool = arguments.warm, .wait = arguments.wait}, config,
                                   options, waited));
}

Result<int> run(const RunArguments& arguments, const Config& config) {
  if (!arguments.warm.empty()) {
    return run_warm(arguments, config);
  }
  const auto split = TRY(split_run(config));  // before there are threads
  if (split.exit_status) {
    return *split.exit_status;
  }
  TRY(prepare_sandbox(config, {.has_owner = split.monitor != nullptr,
                               .why = split.reason}));  // while there is one thread
  const HostSystem host;
  auto cards = TRY(take_cards_and_tell(host, config, arguments.wait));
  if (cards.signal) {
    return 128 + *cards.signal;
  }
  return ended(run_machine(cards.config, RunOptions{.inspect_file = arguments.inspect_file,
                                                    .event_file = arguments.event_file,
                                                    .claims = &cards.claims,
                                                    .config_file = arguments.config_file,
                                                    .owner = split.monitor.get()}));
}

}  // namespace

Result<int> run_verb(const RunArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const auto config = TRY(load_config(arguments.config_file, arguments.overrides));
  return arguments.dry_run ? show_run(config) : run(arguments, config);
}

}  // namespace gpuvm::cli
