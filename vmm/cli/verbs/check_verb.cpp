// SPDX-License-Identifier: Apache-2.0
// gpuvm check: every precondition of guests on a host, or of one guest, with its cure.
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "vmm/check/check.hpp"
#include "vmm/cli/verbs/host_source.hpp"

namespace gpuvm::cli {
namespace {

/// On a terminal, unless the user wants none (no-color.org).
bool wants_colour() {
  const char* const none = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  const bool is_dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return ::isatty(STDOUT_FILENO) == 1 && (none == nullptr || *none == '\0') && !is_dumb;
}

}  // namespace

Result<int> check_verb(const CheckArguments& arguments) {
  std::optional<Config> config;
  if (!arguments.config_file.empty()) {
    config = TRY(load_config(arguments.config_file, arguments.overrides));
  }
  const auto source = TRY(open_host(arguments.from));
  const auto map = TRY(map_of(source));
  const auto lines = check_everything({.host = *source.host,
                                       .map = map,
                                       .config = config ? &*config : nullptr,
                                       .is_here = source.is_here});
  TRY(print(arguments.json ? check_json(lines) : check_text(lines, wants_colour())));
  return exit_status(lines);
}

}  // namespace gpuvm::cli
