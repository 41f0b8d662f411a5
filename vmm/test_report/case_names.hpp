// SPDX-License-Identifier: Apache-2.0
// Names of suites and cases as ConsoleCases makes them of what stands on the console.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/verdict/test_case.hpp"

namespace gpuvm {

/// Failed or broken.
bool is_bad(const TestCase& found);

/// kselftest's "net: tls" as the name of a suite: "net/tls".
std::string suite_of_selftest(std::string_view name);

/// What a list is called by the result that ends it.
std::string suite_of_result(std::string_view name);

/// kselftest's "net: tls" is the case tls of the suite net; other names are whole.
std::pair<std::string, std::string> suite_and_name(std::string_view name, bool is_selftest);

/// At most `most` bytes of a clean text, from the beginning of a line on.
std::string end_of(std::string text, std::size_t most);

}  // namespace gpuvm
