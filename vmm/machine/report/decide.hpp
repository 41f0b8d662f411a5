// SPDX-License-Identifier: Apache-2.0
// What this gpuvm would do with the functions of a report: which row of the policy table each
// meets, how they would be reset, what of their configuration space a guest would see. The same
// code decides for a card and for its file. Values are hostile.
#pragma once

#include <vector>

#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

ReportDecision decide(const CardReport& report);

/// Configuration space of a function as a guest would see it, with all functions of its slot, all
/// keys at their defaults. Errors: kHost (it does not answer), kConfig (a bridge).
Result<std::vector<std::byte>> guest_config(const CardReport& report,
                                            const FunctionRecord& function);

}  // namespace gpuvm
