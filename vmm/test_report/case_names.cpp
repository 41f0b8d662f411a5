// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/case_names.hpp"

#include <fmt/format.h>

#include "vmm/test_report/tap_line.hpp"

namespace gpuvm {

bool is_bad(const TestCase& found) {
  return found.outcome == CaseOutcome::kFailed || found.outcome == CaseOutcome::kBroken;
}

std::string suite_of_selftest(std::string_view name) {
  const auto colon = name.find(": ");
  return colon == std::string_view::npos
             ? std::string(name)
             : fmt::format("{}/{}", name.substr(0, colon), name.substr(colon + 2));
}

std::string suite_of_result(std::string_view name) {
  return name.starts_with(tap::kSelftests) ? suite_of_selftest(name.substr(tap::kSelftests.size()))
                                           : std::string(name);
}

std::pair<std::string, std::string> suite_and_name(std::string_view name, bool is_selftest) {
  const auto colon = is_selftest ? name.find(": ") : std::string_view::npos;
  return colon == std::string_view::npos
             ? std::pair(std::string(), std::string(name))
             : std::pair(std::string(name.substr(0, colon)), std::string(name.substr(colon + 2)));
}

std::string end_of(std::string text, std::size_t most) {
  if (text.size() > most) {
    const auto newline = text.find('\n', text.size() - most);
    text.erase(0, newline == std::string::npos ? text.size() : newline + 1);
  }
  return text;
}

}  // namespace gpuvm
