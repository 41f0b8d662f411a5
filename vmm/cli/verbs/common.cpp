// SPDX-License-Identifier: Apache-2.0
// What several verbs share: logging options and output.
#include <cstdio>

#include "vmm/base/log.hpp"
#include "vmm/cli/verbs/verbs.hpp"

namespace gpuvm::cli {

Status set_up_log(const LogArguments& arguments) {
  if (arguments.quiet) {
    log::set_level(log::Level::kWarn);
  } else if (arguments.verbosity > 0) {
    log::set_level(arguments.verbosity == 1 ? log::Level::kDebug : log::Level::kTrace);
  }
  return arguments.file.empty() ? Status() : log::set_file(arguments.file);
}

Status print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write to standard output");
  }
  return {};
}

}  // namespace gpuvm::cli
