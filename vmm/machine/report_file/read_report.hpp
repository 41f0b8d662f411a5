// SPDX-License-Identifier: Apache-2.0
// A CardReport out of its file. The file is of somebody else and hostile: its size, depth and
// number of values have limits, every number and text is checked, and an error says where it is.
// Keys that nobody knows are passed over.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

/// At most kMostReportBytes. Errors: kConfig.
Result<CardReport> parse_report(std::string_view text);
/// Errors: kConfig, with the file's name.
Result<CardReport> load_report(const std::string& path);

class JsonValue;
/// Parts of it (read_function.cpp).
Result<FunctionRecord> parse_function(const JsonValue& json);
Result<std::vector<RecordedRegister>> parse_registers(const JsonValue& json);

}  // namespace gpuvm
