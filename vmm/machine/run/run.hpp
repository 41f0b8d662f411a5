// SPDX-License-Identifier: Apache-2.0
// Running a guest from start to end: what `gpuvm run` does once it has a configuration.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_control.hpp"
#include "vmm/machine/run/control_loop.hpp"

namespace gpuvm {

/// Exit status when the guest asked for a reset and on_reboot = "exit".
constexpr int kExitGuestReset = 32;
/// Exit status when the guest's kernel panicked and said so (crosvm has the same).
constexpr int kExitGuestPanic = 34;
/// The highest exit status that a guest can give its run: those above are gpuvm's. A higher one
/// becomes this one.
constexpr int kHighestGuestExit = 119;

struct RunOptions {
  std::string
      inspect_file;        ///< the inspect tree as JSON is written there when the run ends; "": not
  std::string event_file;  ///< what happens, as lines of JSON (event_log.hpp); "": not
  /// Told of everything that happens, from the thread where it happens.
  std::vector<GuestObserver> observers = {};
  /// Called once, before the machine is built, with what steers the guest until run_machine()
  /// returns; may be empty.
  std::function<void(GuestControl&)> on_control = {};
};

/// Builds the machine, runs the guest and gives everything back. Blocks; owns SIGINT, SIGTERM,
/// SIGUSR1 and SIGUSR2 meanwhile. The exit status is 0, kExitGuestReset, kExitGuestPanic, what the
/// guest wrote to its exit port, 128 + the signal for a guest that did not power off in time, or
/// that of the error.
RunResult run_machine(const Config& config, const RunOptions& options);

/// SIGUSR1 and SIGUSR2 wait, for this thread and those that it starts, until a ControlLoop takes
/// them; without it they end the process before that. For the first line of main().
void hold_requests_by_signal();

}  // namespace gpuvm
