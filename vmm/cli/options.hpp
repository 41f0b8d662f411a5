// SPDX-License-Identifier: Apache-2.0
// Options and texts that several verbs of the command line share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "vmm/cli/verbs/verbs.hpp"

namespace gpuvm::cli {

inline constexpr const char* kExitStatus = R"(

Exit status:
       0  the guest powered off, or the verb did its work
      32  the guest asked for a reset and machine.on_reboot is "exit"
      34  the guest's kernel panicked and test.pvpanic is true
       N  what the guest wrote to its exit port, 0 to 119, where test.exit_port is true
      64  wrong usage of the command line
      69  this host cannot do it: no KVM, no IOMMU, a device in use
      70  a bug in gpuvm
      75  a device did not come back from its reset; it is not safe to use
      78  wrong configuration, or a file that it names cannot be used
   128+n  signal n ended the run before the guest had powered off)";

inline constexpr const char* kSeeAlso = "\n\nSee gpuvm(1) and gpuvm.toml(5).";

/// An empty shell variable is no wish for nothing.
CLI::Validator not_empty();
/// The same for a file to be written: "-" is no standard output here, which is the guest's console.
CLI::Validator written_file();
void add_log_options(CLI::App& app, LogArguments& log);
void add_config_options(CLI::App& app, std::string& file, std::vector<std::string>& overrides);

/// Prints the error in one line; returns `status`.
int report_as(int status, std::string message);

}  // namespace gpuvm::cli
