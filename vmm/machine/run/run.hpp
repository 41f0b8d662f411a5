// SPDX-License-Identifier: Apache-2.0
// Running a guest from start to end: what `gpuvm run` does once it has a configuration.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_control.hpp"
#include "vmm/machine/devices/device_claims.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/services/warm_guest.hpp"

namespace gpuvm {

class Owner;

/// Exit status when the guest asked for a reset and on_reboot = "exit".
constexpr int kExitGuestReset = 32;
/// Exit status when the guest's kernel panicked and said so (crosvm has the same).
constexpr int kExitGuestPanic = 34;
/// The highest exit status that a guest can give its run: those above are gpuvm's. A higher one
/// becomes this one.
constexpr int kHighestGuestExit = 119;

/// Which of the guest's consoles.
enum class ConsoleSource { kSerial, kVirtio };

/// Told of what the guest prints: the bytes of one console in their order, from vCPU threads and
/// the virtio console's, with a device's lock held. Must return soon and not call back.
using ConsoleObserver = std::function<void(ConsoleSource, std::span<const std::byte>)>;

struct RunOptions {
  std::string
      inspect_file;        ///< the inspect tree as JSON is written there when the run ends; "": not
  std::string event_file;  ///< what happens, as lines of JSON (event_log.hpp); "": not
  /// Told of everything that happens, from the thread where it happens.
  std::vector<GuestObserver> observers = {};
  /// Called once, before the machine is built, with what steers the guest until run_machine()
  /// returns; may be empty.
  std::function<void(GuestControl&)> on_control = {};
  /// Of functions that the caller has claimed already (vmm/cards): the start takes them over, and
  /// leaves it empty. May be null.
  DeviceClaims* claims = nullptr;
  /// Called once where on_control was, when what steers the guest is about to go: no call to it may
  /// be under way or follow when this returns. May be empty.
  std::function<void()> on_control_over = {};
  /// SIGINT, SIGTERM and SIGHUP wait, for the calling thread, when the run no longer takes them,
  /// instead of doing again what they did before: the caller has more to do.
  bool holds_ending_signals = false;
  /// The guest boots to wait for who wants it (vmm/pool): it has a generation id, and what the host
  /// says to it comes by the status port, which test.status_port gives it. What it is
  /// given may be called until on_control_over. Empty: an ordinary guest.
  WarmGuest::OnWarm on_warm = {};
  /// Has what the guest prints, beside the places of `[console]`; may be empty.
  ConsoleObserver on_console = {};
  std::string config_file = {};  ///< for who asks by the control socket; empty: not known
  /// Several guests of this name may run, of which one has the control socket of the name.
  bool shares_name = false;
  /// Who keeps, and at the end gives back, what outlives this process (vmm/owner/owner.hpp); null:
  /// this process does. Must outlive the call.
  Owner* owner = nullptr;
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
