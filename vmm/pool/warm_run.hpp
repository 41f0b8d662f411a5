// SPDX-License-Identifier: Apache-2.0
// run_warm(): what run_machine() is for a guest that this process runs, for one that is taken from
// a pool: its events, its console and its end are told alike, so that a job (vmm/job) does not know
// the difference.
// Missing: typing at its console (`gpuvm console` does that); places of `[console]` other than
// "stdio"; the machine's state at its very end (inspect_file has it as of the cards' arrival).
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm::pool {

struct WarmRun {
  std::string pool = {};                    ///< its name, or its socket's path
  std::string command = {};                 ///< empty: the guest goes on until it is ended
  std::chrono::milliseconds limit{120000};  ///< for a guest of the pool
  std::vector<Bdf> cards = {};              ///< that are plugged in, in this order
  /// Called before the first of them is: who has claimed them gives the claims up, because the
  /// guest's gpuvm takes its own. May be empty.
  std::function<void()> give_up_claims = {};
};

/// Takes a guest, tells it what is new, plugs the cards in and waits for its end, whatever that is;
/// blocks. As run_machine() it takes SIGINT, SIGTERM and SIGHUP meanwhile: the first presses the
/// power button, a second ends the guest, as 30 s do. Afterwards they stay blocked where
/// options.holds_ending_signals says so. Of the options those are not used that concern the making
/// of a machine (claims, owner, shares_name).
RunResult run_warm(const Config& config, const RunOptions& options, const WarmRun& warm);

}  // namespace gpuvm::pool
