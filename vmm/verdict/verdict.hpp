// SPDX-License-Identifier: Apache-2.0
// Verdict: what came of a job (`gpuvm test`), which channel said it, and the exit status that
// follows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gpuvm {

/// In the order of their weight: of two that are true the first one here counts.
enum class Outcome {
  kDeviceUnsafe,  ///< a device did not come back from its reset, whatever the guest said: 120
  kHostFault,     ///< gpuvm or the host: 122
  kPanicked,      ///< the guest's kernel: 121
  kPassed,        ///< the guest's own status is 0
  kFailed,        ///< the guest's own status, 1 to 119; 1 where a pattern said so
  kTimedOut,      ///< a limit of time: 124
  kNoVerdict,     ///< the guest ended without a word: 125
  kSkipped,       ///< before a device was touched, and only where that was asked for: 77
};

/// "passed", "failed", "panicked", "timed_out", "no_verdict", "host_fault", "device_unsafe",
/// "skipped": in JSON and JUnit, and for people.
const char* outcome_name(Outcome outcome);

struct Verdict {
  Outcome outcome = Outcome::kNoVerdict;
  int exit_status = 125;
  std::string channel = {};  ///< "status_port", "pvpanic", "console", "timeout", "gpuvm"…
  std::string reason = {};   ///< one sentence for people: "panic by pvpanic, 0.3 s before …"
  std::optional<std::uint32_t> guest_status = {};  ///< as the guest wrote it, also above 119
};

}  // namespace gpuvm
