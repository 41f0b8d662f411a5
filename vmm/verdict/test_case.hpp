// SPDX-License-Identifier: Apache-2.0
// TestCase: what a guest's test program said of one test, by TAP, kselftest or KUnit on the
// console.
#pragma once

#include <chrono>
#include <string>

namespace gpuvm {

enum class CaseOutcome {
  kPassed,
  kFailed,
  kSkipped,
  kBroken,  ///< it began, and the guest's end came before its own
};

struct TestCase {
  std::string suite = {};  ///< "kunit.list-test", "net/tls"; empty: none said
  std::string name = {};
  CaseOutcome outcome = CaseOutcome::kPassed;
  std::chrono::milliseconds duration{0};  ///< since the one before it; 0: not known
  std::string details = {};               ///< what it printed of its failure, at most 64 KiB
};

}  // namespace gpuvm
