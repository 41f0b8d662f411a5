// SPDX-License-Identifier: Apache-2.0
// OwnTree: a root of its own for a program: the host's programs and libraries read-only, its own
// folders, a few devices, /proc; nothing else. It is described before fork(2) and entered in the
// child with system calls alone. mount_namespaces(7), pivot_root(2), open_tree and move_mount
// (Linux 5.2), mount_setattr(2) (Linux 5.12).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/sandbox/landlock.hpp"

namespace gpuvm {

/// Where programs and libraries are, as far as this host has them, and the one that is to be
/// started; the devices that every program may have. Both for OwnTree and for Landlock.
std::vector<sandbox::PathRule> program_paths(const std::string& program);

class OwnTree {
 public:
  /// `paths` are absolute; those that are absent are left out. Folders that may be written to
  /// (kManage, kWrite) are as they are, the others read-only. Errors: kConfig: a path that is not
  /// absolute, is "/" or has "..".
  static Result<OwnTree> create(std::span<const sandbox::PathRule> paths, bool has_all_of_proc);

  /// Moves the caller, which has a mount namespace of its own that nobody sees changes of, into the
  /// tree. 0 or errno: then all is as before, unless `is_stuck` is set. Async-signal-safe.
  int enter(bool& is_stuck) const noexcept;

 private:
  struct Place {
    std::string source;       ///< of the host
    std::string target;       ///< below the new root, without "/" in front
    std::size_t folders = 0;  ///< the first of its target's in folders_
    bool is_folder = true;
    bool is_writable = false;
    bool is_device = false;
  };
  static constexpr std::size_t kMostPlaces = 32;

  int enter_with(std::span<int> trees, bool& is_stuck) const noexcept;
  bool take_places(std::span<int> trees) const noexcept;
  bool fill(std::span<const int> trees) const noexcept;
  bool put(const Place& place, int tree) const noexcept;
  bool mount_proc() const noexcept;

  std::vector<Place> places_;
  std::vector<std::string> folders_;  ///< to be made, each after those that it is in
  bool has_all_of_proc_ = false;
};

}  // namespace gpuvm
