// SPDX-License-Identifier: Apache-2.0
// CheckLine: one precondition of a guest, judged: what is, why that matters, and what cures it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

enum class CheckLevel {
  kPass,
  kWarn,  ///< a guest runs, but not as well, or not by this user, as it could
  kFail,  ///< a run would be refused
};

struct CheckLine {
  CheckLevel level = CheckLevel::kPass;
  std::string check = {};  ///< its name, which stays: "kvm", "iommu_groups", "reset"
  std::string of = {};    ///< a function, "0000:01:00.0", or what else it is about; empty: the host
  std::string text = {};  ///< what was found, a sentence without its full stop
  std::string why = {};   ///< what it is good for; may be empty where all is well
  std::string cure = {};  ///< commands, boot arguments, settings; empty: in the text, or none known
  ErrorKind kind = ErrorKind::kHost;  ///< of a failure
};

using CheckLines = std::vector<CheckLine>;

/// Of the worst line: 0 where none fails; then as a run would end, the host's failures first.
int exit_status(const CheckLines& lines);

/// Text for people, under a heading for the host and for each device; with `colour` in ANSI's
/// colours.
std::string check_text(const CheckLines& lines, bool colour);

/// One JSON object: "exit_status", and "lines" with "level" ("pass", "warn", "fail"), "check",
/// "of", "text", "why" and "cure" of each.
std::string check_json(const CheckLines& lines);

}  // namespace gpuvm
