// SPDX-License-Identifier: Apache-2.0
// After a reset that a guest did to one function by the function's own registers (PCI Express Base
// 6.0, 6.6.2 function level reset; PCI Power Management 1.2, 5.4 D3hot to D0), which the host's
// kernel or a server carried out: is the function well? The same wait and checks as after our own
// resets, less what such a reset leaves alone.
#pragma once

#include "devices/physical/reset/reset_sequence.hpp"

namespace gpuvm {

/// Waits for the function, rests as its policy says, and compares it with what it was when the plan
/// was made. A function level reset must also leave the policy's registers as they should be, and
/// decode and interrupts off, which this does where the host's kernel has put them back. Not
/// compared: the link, which such a reset does not touch and a guest's driver may have slowed down.
/// `method`: kFunctionReset, or kPowerReset, after which the driver goes on with what it had: only
/// identity, BARs and the power state are looked at, and no rest is kept. `so_far`: what the reset
/// itself took. `refusal`: why it was not carried out, which fails without a look: a function that
/// was not reset may look well. The function is out of the guest's reach and no lock is held. Takes
/// up to the plan's ready_timeout.
ResetCertificate check_guest_reset(const ResetPlan& plan, const ResetSet& set,
                                   const PlannedFunction& function, ResetMethod method,
                                   std::chrono::milliseconds so_far,
                                   const ResetClock& clock = ResetClock::real(),
                                   const std::optional<Error>& refusal = {});

}  // namespace gpuvm
