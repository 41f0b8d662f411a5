// SPDX-License-Identifier: Apache-2.0
// What several verbs share: logging options, output, and the way to a card.
#include <cstdio>

#include "vmm/base/log.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/machine/preview/start_check.hpp"

namespace gpuvm::cli {

Status set_up_log(const LogArguments& arguments) {
  if (arguments.format == "json") {
    log::use_json();
  } else {
    log::use_journal();
  }
  if (arguments.quiet) {
    log::set_level(log::Level::kWarn);
  } else if (arguments.verbosity > 0) {
    log::set_level(arguments.verbosity == 1 ? log::Level::kDebug : log::Level::kTrace);
  }
  return arguments.file.empty() ? Status() : log::set_file(arguments.file);
}

namespace {

/// A wrong configuration is told before a wait, not after it.
Status check_before_wait(const HostSystem& host, const Config& config) {
  for (Finding& finding : check_start(host, config, {})) {
    if (!finding.outcome && finding.outcome.error().kind() == ErrorKind::kConfig) {
      return std::move(finding.outcome);
    }
  }
  return {};
}

}  // namespace

Result<TakenCards> take_cards_and_tell(const HostSystem& host, const Config& config,
                                       std::optional<std::chrono::seconds> wait) {
  if (wait) {
    TRY(check_before_wait(host, config));
  }
  auto taken =
      take_cards(host, config, {.wait = wait, .on_progress = [](const WaitProgress& progress) {
                                  log::info("{}", progress.text);
                                }});
  for (std::size_t i = 0; taken && !taken->signal && i < config.pci.size(); ++i) {
    if (!config.pci[i].match.empty()) {
      log::info("{} has {}", config.pci[i].place.or_else(fmt::format("pci.{}", i)),
                taken->config.pci[i].host.to_string());
    }
  }
  return taken;
}

Status print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write to standard output");
  }
  return {};
}

}  // namespace gpuvm::cli
