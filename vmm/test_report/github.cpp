// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/github.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "vmm/base/output_file.hpp"
#include "vmm/test_report/clean_text.hpp"

namespace gpuvm::github {
namespace {

constexpr std::size_t kMostCell = 300;
constexpr std::size_t kMostMessage = 1000;
constexpr std::size_t kMostRows = 50;
constexpr std::size_t kMostConsole = std::size_t{16} << 10;

std::string from_environment(const char* name) {
  const char* const value = ::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

/// As a workflow command takes it; of properties ":" and "," too.
std::string command_text(std::string_view text, bool is_property) {
  std::string out;
  for (const char c : text) {
    const bool is_special =
        c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ','));
    out += is_special ? fmt::format("%{:02X}", static_cast<unsigned>(c)) : std::string(1, c);
  }
  return out;
}

/// A cell of a table, or a part of a line: what Markdown or HTML would make something of is a
/// character reference, which is never taken for structure (CommonMark 2.5).
std::string cell(std::string_view text) {
  constexpr std::string_view kSpecial = "\\`*_{}[]()#+!|<>&~\"'@:$";
  std::string out;
  for (const char c : clean_line(text, kMostCell)) {
    out += kSpecial.find(c) != std::string_view::npos ? fmt::format("&#{};", static_cast<int>(c))
                                                      : std::string(1, c);
  }
  return out;
}

/// Text within <pre>, an HTML block that only "</pre>" ends (CommonMark 4.6).
std::string preformatted(std::string_view text) {
  std::string out = "<pre>\n";
  for (const char c : clean_text(text)) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out + "\n</pre>\n";
}

std::string seconds(std::chrono::milliseconds time) {
  return fmt::format("{:.1f} s", static_cast<double>(time.count()) / 1000);
}

const char* sign_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      return "✅";
    case Outcome::kSkipped:
      return "⏭️";
    default:
      return "❌";
  }
}

std::string resets_table(const JobReport& report) {
  std::string out = "\n| Reset | Devices | Method | Result | Time |\n|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < std::min(report.resets.size(), kMostRows); ++i) {
    const JobReset& reset = report.resets[i];
    out += fmt::format("| {} | {} | {} | {} | {} |\n", cell(reset.reason), cell(reset.functions),
                       cell(reset.method), cell(reset.verdict),
                       seconds(std::chrono::milliseconds(reset.duration_ms)));
  }
  return out;
}

bool has_failed(const TestCase& one) {
  return one.outcome == CaseOutcome::kFailed || one.outcome == CaseOutcome::kBroken;
}

std::string cases_table(const JobReport& report) {
  const auto number_of = [&report](CaseOutcome outcome) {
    return std::count_if(report.cases.begin(), report.cases.end(),
                         [outcome](const TestCase& one) { return one.outcome == outcome; });
  };
  std::string out = fmt::format(
      "\n{} test cases: {} passed, {} failed, {} broken off, {} skipped\n", report.cases.size(),
      number_of(CaseOutcome::kPassed), number_of(CaseOutcome::kFailed),
      number_of(CaseOutcome::kBroken), number_of(CaseOutcome::kSkipped));
  std::size_t rows = 0;
  for (const TestCase& one : report.cases) {
    if (!has_failed(one) || rows >= kMostRows) {
      continue;
    }
    out += rows++ == 0 ? "\n| Suite | Test case | Why |\n|---|---|---|\n" : "";
    out += fmt::format("| {} | {} | {} |\n", cell(one.suite), cell(one.name),
                       cell(std::string_view(one.details).substr(0, one.details.find('\n'))));
  }
  return out;
}

/// A job whose configuration is wrong has no guest yet.
std::string title_of(const std::string& guest) {
  return guest.empty() ? "gpuvm test" : "gpuvm test " + guest;
}

}  // namespace

Environment environment() {
  return {.is_there = from_environment("GITHUB_ACTIONS") == "true",
          .summary_file = from_environment("GITHUB_STEP_SUMMARY")};
}

Result<ConsoleGroup> ConsoleGroup::make() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot have random numbers");
  }
  std::string token;
  for (const unsigned char byte : bytes) {
    token += fmt::format("{:02x}", byte);
  }
  return ConsoleGroup(std::move(token));
}

std::string ConsoleGroup::begin(const std::string& title) const {
  return fmt::format("::group::{}\n::stop-commands::{}\n",
                     command_text(clean_line(title, kMostCell), false), token_);
}

std::string ConsoleGroup::end() const {
  return fmt::format("\n::{}::\n::endgroup::\n", token_);
}

std::string without_commands(std::string_view line) {
  constexpr std::string_view kOlder = "##[";
  std::string out = clean_line(line, kMostMessage);
  for (auto at = out.find(kOlder); at != std::string::npos; at = out.find(kOlder, at)) {
    out.insert(at + 1, 1, ' ');
  }
  const auto begin = out.find_first_not_of(' ');
  return begin != std::string::npos && out.compare(begin, 2, "::") == 0 ? fmt::format("| {}", out)
                                                                        : out;
}

std::string error_annotation(const JobReport& report) {
  const Outcome outcome = report.verdict.outcome;
  if (outcome == Outcome::kPassed || outcome == Outcome::kSkipped) {
    return {};
  }
  const std::string title = fmt::format("{}: {}", title_of(report.guest), outcome_name(outcome));
  return fmt::format("::error title={}::{} (exit status {})\n",
                     command_text(clean_line(title, kMostCell), true),
                     command_text(clean_line(report.verdict.reason, kMostMessage), false),
                     report.verdict.exit_status);
}

std::string summary(const JobReport& report) {
  std::string out = fmt::format(
      "### {} {}: {}\n\n| | |\n|---|---|\n| Command | {} |\n| Verdict | {} |\n"
      "| By | {} |\n| Exit status | {} |\n| Attempts | {} |\n| Time | {} |\n",
      sign_of(report.verdict.outcome), title_of(cell(report.guest)),
      cell(outcome_name(report.verdict.outcome)), cell(report.command), cell(report.verdict.reason),
      cell(report.verdict.channel), report.verdict.exit_status, report.attempts,
      seconds(report.duration));
  for (const JobPhase& phase : report.phases) {
    out += fmt::format("| of this: {} | {} |\n", cell(phase.name), seconds(phase.duration));
  }
  if (!report.resets.empty()) {
    out += resets_table(report);
  }
  if (!report.cases.empty()) {
    out += cases_table(report);
  }
  if (!report.console_tail.empty()) {
    const auto size = report.console_tail.size();
    out += "\n<details><summary>The end of the console</summary>\n\n";
    out += preformatted(
        std::string_view(report.console_tail).substr(size - std::min(size, kMostConsole)));
    out += "\n</details>\n";
  }
  return out + "\n";
}

Status append_summary(const std::string& file, const JobReport& report) {
  const UniqueFd fd = TRY_CONTEXT(
      open_output(file, {.start = OutputRules::Start::kAppend, .kind = ErrorKind::kHost}),
      "The step's summary");
  return write_output(fd.get(), summary(report), file);
}

}  // namespace gpuvm::github
