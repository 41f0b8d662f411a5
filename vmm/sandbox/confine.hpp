// SPDX-License-Identifier: Apache-2.0
// confine(): what a process gives up once all is opened and before a guest's processor runs. What
// the kernel or the rights at hand do not allow is left out and told: `Layers`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/sandbox/landlock.hpp"
#include "vmm/sandbox/privileges.hpp"

namespace gpuvm::sandbox {

/// What is to be given up.
struct Plan {
  /// The monitor of an owner: nothing has to be opened, made or given back by this process. Then
  /// the root becomes empty, no path stays, and no capability.
  bool has_owner = false;
  /// Whom to become; needs has_owner.
  std::optional<Identity> identity = {};
  /// What stays within reach of the calling thread; of no use with has_owner.
  std::vector<PathRule> paths = {};
  /// The calling thread's; none with has_owner.
  Capabilities kept = 0;
};

/// A layer that is in force, or why it is not.
struct Layer {
  std::string name;  ///< "seccomp", "no_new_privs", "user", "capabilities", "landlock", "root",
                     ///< "dumpable", "limits"
  bool in_force = false;
  std::string detail;  ///< "ABI 6", "not root", "Linux has no Landlock", …; one line, may be empty
};
struct Layers {
  std::vector<Layer> all;
  /// "seccomp, no_new_privs, landlock (ABI 4); not: user (not root)".
  std::string text() const;
  void inspect(InspectNode& node) const;
};

/// In this order: dumps forbidden, limits, empty root, user and groups, capabilities, no_new_privs,
/// Landlock. What concerns credentials, names and Landlock is the calling thread's and that of
/// threads it makes later: with has_owner it is called while there is one thread, and fails where
/// there are more. Filters are not its work: sandbox.hpp. Errors: kHost: what `plan` asks for and
/// the process has the right to could not be done all the same (a user that cannot be taken on by
/// root, capabilities that stay), or there are other threads.
Result<Layers> confine(const Plan& plan);

}  // namespace gpuvm::sandbox
