// SPDX-License-Identifier: Apache-2.0
// JUnit XML of a job, in the form that Jenkins, GitLab and GitHub's actions read: a suite for the
// job itself, and one for each suite of its test cases. tests/golden/junit/junit.xsd is that form.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/verdict/job_report.hpp"

namespace gpuvm {

/// The whole file. All text in it is fit for XML, whatever the guest has printed.
std::string junit_text(const JobReport& report);

/// Replaces the file at once: a reader sees the old one or the new one. Errors: kHost.
Status write_junit(const std::string& path, const JobReport& report);

}  // namespace gpuvm
