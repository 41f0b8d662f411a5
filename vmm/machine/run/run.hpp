// SPDX-License-Identifier: Apache-2.0
// Running a guest from start to end: what `gpuvm run` does once it has a configuration.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

/// Exit status when the guest asked for a reset and on_reboot = "exit".
constexpr int kExitGuestReset = 32;

struct RunOptions {
  std::string
      inspect_file;  ///< the inspect tree as JSON is written there when the run ends; "": not
  std::string
      event_file;  ///< changes of state and resets as lines of JSON (event_log.hpp); "": not
};

/// Builds the machine, runs the guest and gives everything back. Blocks; owns SIGINT and SIGTERM
/// meanwhile. The value is the process's exit status: 0, kExitGuestReset, or 128 + the signal for a
/// guest that did not power off in time.
Result<int> run_machine(const Config& config, const RunOptions& options);

}  // namespace gpuvm
