// SPDX-License-Identifier: Apache-2.0
// What a preview says of the resets of a set of functions.
#pragma once

#include <string>

#include "devices/physical/reset/reset_plan.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// "hot reset; where its check fails, function reset"; empty: no safe reset is known.
std::string method_text(const ResetSet& set);

/// Errors: kUnsafeDevice where no safe reset is known, with what the user can do.
Status check_has_reset(const ResetSet& set);

}  // namespace gpuvm
