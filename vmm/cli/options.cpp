// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/options.hpp"

#include <algorithm>
#include <cstdio>

#include "vmm/base/log.hpp"

namespace gpuvm::cli {

CLI::Validator not_empty() {
  return CLI::Validator(
      [](const std::string& value) { return value.empty() ? "an empty name of a file" : ""; }, "");
}

CLI::Validator written_file() {
  return CLI::Validator(
      [](const std::string& value) {
        if (value == "-") {
          return "standard output, \"-\", is for the guest's console: name a file (\"./-\" is one "
                 "of this name)";
        }
        return value.empty() ? "an empty name of a file" : "";
      },
      "");
}

int report_as(int status, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  if (log::is_plain()) {
    std::fprintf(stderr, "gpuvm: error: %s\n", message.c_str());
  } else {
    log::error("{}", message);
  }
  return status;
}

void add_log_options(CLI::App& app, LogArguments& log) {
  auto* verbose = app.add_flag("-v,--verbose", log.verbosity, "Say more; twice: say everything");
  auto* quiet = app.add_flag("-q,--quiet", log.quiet, "Say only what is odd or wrong");
  quiet->excludes(verbose);
  app.add_option("--log-file", log.file, "Append messages to FILE too")
      ->type_name("FILE")
      ->check(written_file());
  app.add_option("--log-format", log.format,
                 "Messages on stderr as text (journal entries under "
                 "systemd), or as lines of json")
      ->type_name("text|json")
      ->check(CLI::IsMember({"text", "json"}));
}

void add_config_options(CLI::App& app, std::string& file, std::vector<std::string>& overrides) {
  app.add_option("CONFIG", file, "The guest's configuration, a TOML file; see gpuvm.toml(5)")
      ->type_name("")
      ->required()
      ->check(not_empty());
  // One value each: a list option would otherwise take CONFIG for one more value.
  app.add_option("--set", overrides, "Change a key, for instance machine.cpus=4; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

}  // namespace gpuvm::cli
