// SPDX-License-Identifier: Apache-2.0
// A job's report as JSON (RFC 8259), as docs/schemas/test-result.schema.json has it.
#pragma once

#include <string>
#include <vector>

#include "vmm/verdict/job_report.hpp"

namespace gpuvm {

/// Of the whole report. Bytes of the guest that are no UTF-8 become U+FFFD.
std::string result_json(const JobReport& report);
/// The certificates alone: a list.
std::string resets_json(const std::vector<JobReset>& resets);

}  // namespace gpuvm
