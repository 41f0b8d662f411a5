// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/verdict.hpp"

namespace gpuvm {

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDeviceUnsafe:
      return "device_unsafe";
    case Outcome::kHostFault:
      return "host_fault";
    case Outcome::kPanicked:
      return "panicked";
    case Outcome::kPassed:
      return "passed";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kTimedOut:
      return "timed_out";
    case Outcome::kNoVerdict:
      return "no_verdict";
    case Outcome::kSkipped:
      return "skipped";
  }
  return "no_verdict";
}

}  // namespace gpuvm
