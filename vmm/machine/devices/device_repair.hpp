// SPDX-License-Identifier: Apache-2.0
// Resets of devices that no guest has: `gpuvm reset` repairs them, `gpuvm test-reset` finds out
// whether a card can be reset at all. Both take the functions from their host drivers and give them
// back, unless they stay dirty.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "devices/physical/reset/function_check.hpp"
#include "devices/physical/reset/reset_sequence.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/slot_cycle.hpp"

namespace gpuvm {

class HostDevices;

/// All functions of the slots of these addresses, sorted: what a hot reset of a slot covers.
/// Errors: kConfig for an address without a function.
Result<std::vector<Bdf>> slot_functions(const HostSystem& host, const std::vector<Bdf>& addresses);

/// Takes, resets, checks and gives back, with a certificate for each set. What failed stays dirty
/// with vfio-pci. `owner` names the caller to others who want the devices. `first`: a slot power
/// cycle or a rescan that comes first, whether it is needed or not; else they come where no reset
/// helps. Errors: kConfig, kHost,
/// kUnsafeDevice (a function does not even answer).
Result<std::vector<ResetCertificate>> repair_devices(const HostSystem& host,
                                                     const std::vector<Bdf>& functions,
                                                     const std::string& owner,
                                                     std::optional<SlotMethod> first = {});

/// One cycle of a trial: open, make dirty, reset, check, close.
struct TrialCycle {
  unsigned number = 0;  ///< from 1
  std::vector<ResetCertificate> certificates;
  struct Register {
    std::string function;
    std::string name;
    bool is_cleared = false;  ///< else the reset did not reach it
  };
  std::vector<Register> registers;  ///< that were written before and looked at after the reset
  /// A function after its reset, whatever came of that.
  struct Look {
    std::string function;
    std::string state;  ///< to_text() of how it looks; empty: it does not answer
    std::uint16_t command = 0;
    std::uint16_t status = 0;
    std::vector<RegisterValue> registers = {};  ///< of the policy's checks
    std::string error = {};                     ///< why it could not be read; or empty
  };
  std::vector<Look> looks;
  bool is_safe() const;
};

/// Who watches a trial; each may be empty.
struct TrialWatch {
  /// Once, when the functions are open and nothing has been done to them.
  std::function<void(HostDevices&)> on_open = {};
  /// As each cycle ends.
  std::function<void(const TrialCycle&)> on_cycle = {};
};

/// Runs cycles until one fails. True: all were safe. Errors: as repair_devices().
Result<bool> run_reset_trial(const HostSystem& host, const std::vector<Bdf>& functions,
                             unsigned cycles, const std::string& owner, const TrialWatch& watch);

}  // namespace gpuvm
