// SPDX-License-Identifier: Apache-2.0
// Confinement: what a thread, or a child between fork(2) and execve(2), gives up besides system
// calls: made ahead, taken on with system calls alone. What the kernel or the rights at hand do not
// allow is left out and told: `Layers`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/sandbox/landlock.hpp"
#include "vmm/sandbox/privileges.hpp"

namespace gpuvm::sandbox {

/// What is to be given up. Of each part only what the calling process has the right to.
struct Plan {
  bool empty_root = false;                ///< the file system's names; needs CAP_SYS_ADMIN
  std::optional<Identity> identity = {};  ///< whom to become; needs CAP_SETUID and CAP_SETGID
  Capabilities kept = 0;
  /// What stays within reach, by Landlock; without a value Landlock is left alone.
  std::optional<std::vector<PathRule>> paths = std::vector<PathRule>();
};

/// A layer that is in force, or why it is not.
struct Layer {
  std::string name;  ///< "seccomp", "no_new_privs", "capabilities", "landlock", "user", "root",
                     ///< "dumpable", "limits", "owner"
  bool in_force = false;
  std::string detail = {};  ///< "ABI 6", "not root", …; one line, may be empty
};
struct Layers {
  std::vector<Layer> all = {};
  /// "seccomp, no_new_privs, landlock (ABI 4); not: user (not root)".
  std::string text() const;
  void inspect(InspectNode& node) const;
};

class Confinement {
 public:
  /// Looks at the rights of the calling thread, which those that take it on must have, too. Errors:
  /// kHost: rules of Landlock that cannot be made.
  static Result<Confinement> create(Plan plan);
  Confinement() = default;

  /// In this order: empty root, user and groups, capabilities, no_new_privs, Landlock; all of the
  /// calling thread and of what it makes from then on. A layer that is not in force is left out. 0
  /// or errno, of what cannot be done though the rights are there. Async-signal-safe. A change of
  /// user or capabilities clears PR_SET_PDEATHSIG (prctl(2)), and one of the user makes the whole
  /// process one that is not dumped, as forbid_dumps().
  int enter() const noexcept;
  /// What enter() does and does not.
  const Layers& layers() const { return layers_; }

 private:
  void plan_root();
  void plan_user();
  void plan_capabilities();
  Status plan_landlock();
  void add(const char* name, bool in_force, std::string detail);

  Plan plan_ = {};
  std::optional<LandlockRules> rules_ = {};
  Layers layers_ = {};
};

/// Of the whole process, and for good: no ptrace(2) by the same user, no core dump, the limits of
/// set_limits(). Two layers.
std::vector<Layer> confine_process();

}  // namespace gpuvm::sandbox
