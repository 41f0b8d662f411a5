// SPDX-License-Identifier: Apache-2.0
// The reset of a guest's functions: quiesce all, reset, wait, check; the next method where the
// check fails; an honest refusal where none is left. The same sequence at start, at a guest's
// reboot and at the stop. What can only be done to a function that nobody has open follows in
// vmm/machine/devices/machine_reset.hpp.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "devices/physical/reset/bar_check.hpp"
#include "devices/physical/reset/reset_plan.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

enum class ResetVerdict {
  kVerified,  ///< every function was reset and checked
  kPartial,   ///< every function was checked, but some have no reset of their own
  kUnreset,   ///< checked, but not reset: the configuration says so, or it has none and is no GPU
  kFailed,    ///< not safe to use
};
std::string_view to_string(ResetVerdict verdict);

/// What one reset did.
struct ResetCertificate {
  std::string functions;                        ///< "0000:01:00.0, 0000:01:00.1"
  std::vector<std::string> names;               ///< the same, one by one
  ResetMethod method = ResetMethod::kHotReset;  ///< of a failure: the last that was tried
  std::chrono::milliseconds duration{0};
  ResetVerdict verdict = ResetVerdict::kVerified;
  /// One sentence, with what was tried before and what was odd; of a failure what is wrong and what
  /// the host must do.
  std::string text;

  /// Methods that were tried and did not help: before `method`, or of a failure all. One that the
  /// host refused to begin, for instance because a device was busy, does not count.
  std::vector<ResetMethod> did_not_help = {};

  /// What was found of the functions' BARs; of a success.
  BarLook bars = {};
  /// BAR registers of the hardware are gone, which no reset mends: see BarFindings.
  bool has_lost_registers = false;
  /// What of their memory was overwritten after the reset, and what was not; empty: nothing was
  /// owed. Who resets adds it (vmm/machine/devices/machine_reset.hpp).
  std::string scrub = {};
  bool is_scrub_at_fault = false;  ///< of a failure: the reset itself was well

  bool is_safe() const { return verdict != ResetVerdict::kFailed; }
  void inspect(InspectNode& node) const;
};

/// Resets every set of the plan; afterwards decode, bus mastering and interrupts of all functions
/// are off. Before: vCPUs stopped or the functions made unreachable for them, BARs away from the
/// guest (a mapped BAR faults during the reset). Takes 0.1 s to minutes: on a vCPU thread only
/// where its guest asked for a reset, and with no lock held. All sets are tried even if one fails.
/// Yields a certificate for each set, in the plan's order, of those that failed too: with these
/// the guest must not go on. The product goes through ResetBook::reset(), which learns from it.
/// `limit`: of the log's lines where a guest asks for the reset, and can do so again and again;
/// nullptr: every attempt that fails is told.
std::vector<ResetCertificate> reset_all(PhysicalHost& host, const ResetPlan& plan,
                                        const ResetClock& clock = ResetClock::real(),
                                        log::RateLimit* limit = nullptr);
/// Errors: kUnsafeDevice with the text of every failure among them.
Status check_all_safe(std::span<const ResetCertificate> certificates);

}  // namespace gpuvm
