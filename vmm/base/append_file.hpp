// SPDX-License-Identifier: Apache-2.0
// Files to which lines are appended over many runs (--events, --log-file), often by root, and
// whose path a user types or a script makes: a mistyped one must not spoil a file of the system,
// nor one in a folder that all may write lead root anywhere.
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

/// The file, for writing at its end, without waiting: a new one (0644, less the umask), or one that
/// is there and is this user's, has no other name (hard link), and is empty or begins with such a
/// line. A FIFO that somebody reads will do, and what is in /dev. The path's last part must be no
/// symbolic link, but in /dev and /proc/self/fd. `what` is written there, in messages: "events".
/// Errors: kUsage.
Result<UniqueFd> open_to_append(const std::string& path, AppendedLines lines,
                                std::string_view what);

}  // namespace gpuvm
