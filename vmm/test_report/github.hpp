// SPDX-License-Identifier: Apache-2.0
// What a job says to GitHub Actions: workflow commands on standard output, and a table for the
// step's summary. Both have text of the guest's in them, which must not become commands or markup.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/verdict/job_report.hpp"

namespace gpuvm::github {

/// Of this process, by its environment.
struct Environment {
  bool is_there = false;          ///< GITHUB_ACTIONS is "true"
  std::string summary_file = {};  ///< GITHUB_STEP_SUMMARY; empty: none
};
Environment environment();

/// Between these two the runner takes no line for a command, whatever the guest prints: only who
/// knows the token ends that, and the guest does not.
class ConsoleGroup {
 public:
  /// With a token that nobody can guess. Errors: kHost.
  static Result<ConsoleGroup> make();
  explicit ConsoleGroup(std::string token) : token_(std::move(token)) {}

  /// Before the first byte of the guest's console; `title` is one line.
  std::string begin(const std::string& title) const;
  /// Behind the last; begins with a newline, since the guest may have left its line open.
  std::string end() const;

 private:
  std::string token_;
};

/// A line of the log with text of the guest's in it, which the runner must not take for a command:
/// of either form, "::error::" at its beginning and the older "##[error]" anywhere. One line.
std::string without_commands(std::string_view line);

/// "::error title=…::…" and a newline, for a verdict that fails the job; else nothing. Not between
/// begin() and end().
std::string error_annotation(const JobReport& report);

/// Markdown: the verdict, the devices' resets, counts of the cases and those that failed (the first
/// 50), the console's end. Always less than the 1 MiB that GitHub takes of a step.
std::string summary(const JobReport& report);

/// Appends it. Errors: kHost.
Status append_summary(const std::string& file, const JobReport& report);

}  // namespace gpuvm::github
