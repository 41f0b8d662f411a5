// SPDX-License-Identifier: Apache-2.0
// The notes of log mode as lines: which rows of which role were used how often, and which calls no
// row is about. scripts/sandbox-calls puts the lines of many runs together and judges the lists.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/sandbox/roles/trap_handler.hpp"

namespace gpuvm::sandbox {

/// One line each, fields with tabs between: "role NAME TIMES_ENTERED", "row ROLE USE COUNT CALL
/// REASON" (of roles that were entered, and of their rows all), "unlisted ROLE CALL NUMBER ARGUMENT
/// COUNT". USE is always, rare, until-owner.
std::string call_log_text(const TrapSetup& setup);

/// In one write(2) to `fd`; without one (-1) unlisted calls become warnings of the log. Errors:
/// kHost.
Status write_call_log(const TrapSetup& setup, int fd);

}  // namespace gpuvm::sandbox
