// SPDX-License-Identifier: Apache-2.0
// RunResult: what came of a guest's run, for whoever started it: `gpuvm run`, and later verdicts.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// How a run came to its end.
enum class RunEnd {
  kPoweredOff,      ///< by the guest itself
  kGuestReset,      ///< the guest wanted a reset and on_reboot is "exit"
  kGuestExit,       ///< the guest gave its exit status
  kPanicked,        ///< the guest's kernel said so
  kEndedForced,     ///< asked to end, and not gone in time or not to be started again
  kStopped,         ///< by GuestControl::stop()
  kStartBrokenOff,  ///< before the guest ran
  kGivenUp,         ///< KVM could not go on with the guest: by its doing or KVM's, nobody knows
  kFailed,
};

struct RunResult {
  RunEnd end = RunEnd::kPoweredOff;
  int exit_status = 0;              ///< of the process, where there is no error
  std::optional<Error> error = {};  ///< the worst of the run; also one of an end that went wrong
  std::uint64_t reboots = 0;        ///< lives of the guest after its first
  int signal = 0;                   ///< that asked for the end; 0: none did
};

}  // namespace gpuvm
