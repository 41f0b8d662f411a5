// SPDX-License-Identifier: Apache-2.0
// What a guest prints, as test cases and as reports of them: within their limits, and fit for those
// who read them, whatever it is.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vmm/test_report/console_cases.hpp"
#include "vmm/test_report/github.hpp"
#include "vmm/test_report/junit.hpp"

namespace gpuvm {
namespace {

void need(bool holds) {
  if (!holds) {
    std::abort();
  }
}

bool is_clean(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0x7f || (byte < ' ' && c != '\n' && c != '\t')) {
      return false;
    }
  }
  return true;
}

std::vector<TestCase> cases_of(std::string_view text, bool guest_died) {
  ConsoleCases cases;
  std::chrono::milliseconds time{0};
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    cases.add_line(text.substr(0, end), ++time);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return cases.finish(guest_died);
}

void try_console(std::string_view text) {
  JobReport report;
  report.guest = "guest";
  report.cases = cases_of(text, false);
  need(report.cases.size() <= ConsoleCases::kMostCases + 1);
  for (const TestCase& one : report.cases) {
    need(!one.name.empty() && one.name.size() <= 256 && one.suite.size() <= 600);
    need(one.details.size() <= ConsoleCases::kMostDetails);
    need(is_clean(one.name) && is_clean(one.suite) && is_clean(one.details));
    need(one.name.find('\n') == std::string::npos && one.suite.find('\n') == std::string::npos);
  }
  need(cases_of(text, true).size() >= report.cases.size());
  report.verdict.outcome = Outcome::kFailed;
  report.verdict.reason = text;
  report.console_tail = text;
  need(is_clean(junit_text(report)));
  const auto annotation = github::error_annotation(report);
  need(annotation.find('\n') == annotation.size() - 1);
  const auto summary = github::summary(report);
  need(is_clean(summary) && summary.find("</pre>") == summary.rfind("</pre>"));
}

}  // namespace
}  // namespace gpuvm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::try_console({reinterpret_cast<const char*>(data), size});
  return 0;
}
