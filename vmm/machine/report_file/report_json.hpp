// SPDX-License-Identifier: Apache-2.0
// Parts of a report as JSON, for write_report.cpp alone.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

nlohmann::ordered_json function_json(const FunctionRecord& function);
nlohmann::ordered_json registers_json(const std::vector<RecordedRegister>& registers);
/// "0x10de", of at least so many digits.
std::string hex_text(std::uint64_t value, unsigned digits);

}  // namespace gpuvm
