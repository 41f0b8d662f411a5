// SPDX-License-Identifier: Apache-2.0
// A report for people: what was found, what would be done with it, what a test brought; and
// configuration spaces in the form that lspci reads.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

/// `today`: what this gpuvm decides; where the one that wrote the report decided otherwise, both
/// are told.
std::string report_text(const CardReport& report, const ReportDecision& today);

/// All functions for `lspci -F`: as the hardware has them, or as a guest would see them. Errors: as
/// guest_config().
Result<std::string> lspci_text(const CardReport& report, bool as_guest);

}  // namespace gpuvm
