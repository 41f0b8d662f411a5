// SPDX-License-Identifier: Apache-2.0
// Files to which lines are appended over many runs (--events, --log-file), often by root: opened as
// all output is (output_file.hpp), and a mistyped path must not spoil a file of something else.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// How lines of such a file begin.
enum class AppendedLines {
  kJson,   ///< "{"
  kDated,  ///< "2026-01-01T"
};

/// As open_output(), for writing at the end, without waiting; and a regular file that is there must
/// be empty or begin with such a line, but below /dev and /proc. `option` asked for it, in
/// messages. Errors: kUsage.
Result<UniqueFd> open_to_append(const std::string& path, AppendedLines lines,
                                std::string_view option);

}  // namespace gpuvm
