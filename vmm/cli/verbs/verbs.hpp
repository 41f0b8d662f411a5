// SPDX-License-Identifier: Apache-2.0
// What each verb of the command line does, once main.cpp has taken the command line apart.
// A verb returns the exit status; an Error's kind gives the exit status of a failure.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm::cli {

/// Where messages go and how many.
struct LogArguments {
  int verbosity = 0;   ///< number of -v: 1 debug, 2 and more trace
  bool quiet = false;  ///< warnings and errors only
  std::string file;    ///< also written here; empty: nowhere
};

struct RunArguments {
  std::string config_file;
  std::vector<std::string> overrides;  ///< as given to --set
  bool dry_run = false;
  std::string inspect_file;
  LogArguments log;
};

struct UnbindArguments {
  std::vector<std::string> addresses;  ///< empty: all that a dead gpuvm left
  LogArguments log;
};

struct DumpArguments {
  std::string config_file;
  std::vector<std::string> overrides;
};

struct ValidateArguments {
  std::string config_file;
  std::vector<std::string> overrides;
};

/// Runs the guest until it ends, or with dry_run says what would be run.
Result<int> run_verb(const RunArguments& arguments);
/// Gives functions back to their host drivers after a crash.
Result<int> unbind_verb(const UnbindArguments& arguments);
/// Prints the device tree that the guest's EFI firmware would be given.
Result<int> dump_fdt_verb(const DumpArguments& arguments);
/// Checks a configuration, and nothing of the host.
Result<int> validate_verb(const ValidateArguments& arguments);

/// Errors: kUsage when the log file cannot be opened.
Status set_up_log(const LogArguments& arguments);
/// Writes to standard output. Errors: kHost when it is closed or full.
Status print(const std::string& text);

}  // namespace gpuvm::cli
