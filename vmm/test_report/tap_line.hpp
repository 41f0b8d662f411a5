// SPDX-License-Identifier: Apache-2.0
// One line of TAP 13 or 14 (testanything.org) or KTAP (Linux, Documentation/dev-tools/ktap.rst), by
// its form alone; what it means where it stands is ConsoleCases' to know.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "vmm/verdict/test_case.hpp"

namespace gpuvm::tap {

/// "TAP version 13", "KTAP version 1".
struct Version {
  bool is_ktap = false;
};

/// "1..36", "1..0 # SKIP no module".
struct Plan {
  std::uint64_t count = 0;
  std::string_view reason = {};  ///< of a skip, where it is "1..0"
};

/// "ok 1 - name # SKIP reason". Names are as they stand there, with TAP's backslashes.
struct CaseResult {
  CaseOutcome outcome = CaseOutcome::kPassed;
  std::uint64_t number = 0;          ///< 0: none
  std::string_view name = {};        ///< may be empty
  std::string_view diagnostic = {};  ///< behind "#", with its directive
};

/// "# Subtest: name".
struct Subtest {
  std::string_view name;
};

/// kselftest's "# selftests: net: tls": this test begins.
struct Selftest {
  std::string_view name;  ///< "net: tls"
};

/// "Bail out! reason".
struct BailOut {
  std::string_view reason;
};

/// Any other line.
struct Other {};

using Line = std::variant<Other, Version, Plan, CaseResult, Subtest, Selftest, BailOut>;

/// `text` is without indentation.
Line parse(std::string_view text);

/// What kselftest puts in front of the names of its results.
inline constexpr std::string_view kSelftests = "selftests: ";

}  // namespace gpuvm::tap
