// SPDX-License-Identifier: Apache-2.0
// A CardReport as the text of its file: JSON (RFC 8259), keys in a fixed order, in lines for people
// to look through. docs/report.md tells the keys.
#pragma once

#include <string>

#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

std::string to_json_text(const CardReport& report);

}  // namespace gpuvm
