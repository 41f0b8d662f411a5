// SPDX-License-Identifier: Apache-2.0
// JobReport: all that a job leaves for machines and people. The JSON file, JUnit, GitHub's summary
// and the last line on the terminal are views of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm/verdict/test_case.hpp"
#include "vmm/verdict/verdict.hpp"

namespace gpuvm {

/// How long a part of a job took: "wait", "start", "guest", "stop".
struct JobPhase {
  std::string name = {};
  std::chrono::milliseconds duration{0};
};

/// One reset of devices, as its certificate has it.
struct JobReset {
  std::string reason = {};  ///< "start", "reboot", "stop"
  std::string functions = {};
  std::string method = {};
  std::string verdict = {};  ///< "verified" and others
  std::uint64_t duration_ms = 0;
  std::string text = {};
};

struct JobArtifact {
  std::string name = {};  ///< "console.log"
  std::string path = {};
};

struct JobReport {
  std::string guest = {};        ///< its name
  std::string config_file = {};  ///< as given
  std::string command = {};      ///< as run in the guest; empty: none
  std::chrono::system_clock::time_point began = {};
  std::chrono::milliseconds duration{0};
  unsigned attempts = 1;  ///< with the retries after a fault of the host
  Verdict verdict = {};
  std::vector<JobPhase> phases = {};
  std::vector<JobReset> resets = {};
  std::vector<TestCase> cases = {};
  std::vector<JobArtifact> artifacts = {};
  std::string console_tail = {};  ///< the last lines, at most 16 KiB
};

}  // namespace gpuvm
