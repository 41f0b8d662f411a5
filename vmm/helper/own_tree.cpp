// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/own_tree.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

namespace gpuvm {
namespace {

using sandbox::PathAccess;
using sandbox::PathRule;

/// Where the tree is put together: a folder that is on every Linux.
constexpr const char* kPlaceOfTree = "/proc";
constexpr unsigned long kLockedTree = MS_NOSUID | MS_NODEV | MS_NOEXEC;

/// Folders of programs and libraries; the last two are Nix's and Guix's.
constexpr std::array kSystemFolders = {"/usr",   "/bin",   "/sbin",      "/lib",
                                       "/lib32", "/lib64", "/nix/store", "/gnu/store"};

bool is_below(const std::string& path, std::string_view folder) {
  return path.size() > folder.size() && path.compare(0, folder.size(), folder) == 0 &&
         path[folder.size()] == '/';
}

/// Names in a path, and no "." or "..".
bool is_plain(const std::filesystem::path& path) {
  return path.is_absolute() && std::none_of(path.begin(), path.end(), [](const auto& part) {
           return part == ".." || part == ".";
         });
}

int clone_tree(const char* path) noexcept {
  return static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
}

/// The old tree goes onto the new root itself, and from there away.
int swap_roots(bool& is_stuck) noexcept {
  if (::syscall(SYS_pivot_root, ".", ".") != 0) {
    return errno;
  }
  is_stuck = true;
  if (::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kLockedTree, nullptr) !=
          0) {
    return errno;
  }
  is_stuck = false;
  return 0;
}

}  // namespace

std::vector<PathRule> program_paths(const std::string& program) {
  std::vector<PathRule> paths;
  for (const char* const folder : kSystemFolders) {
    paths.push_back({.path = folder, .access = PathAccess::kExecute});
  }
  const bool is_found = std::any_of(kSystemFolders.begin(), kSystemFolders.end(),
                                    [&](const char* folder) { return is_below(program, folder); });
  if (!is_found) {
    const auto folder = std::filesystem::path(program).parent_path().string();
    paths.push_back({.path = folder, .access = PathAccess::kExecute});
  }
  paths.push_back({.path = "/etc/ld.so.cache", .access = PathAccess::kRead});
  paths.push_back({.path = "/dev/null", .access = PathAccess::kWrite});
  paths.push_back({.path = "/dev/urandom", .access = PathAccess::kRead});
  return paths;
}

Result<OwnTree> OwnTree::create(std::span<const PathRule> paths, bool has_all_of_proc) {
  OwnTree tree;
  tree.has_all_of_proc_ = has_all_of_proc;
  for (const PathRule& rule : paths) {
    const auto path = std::filesystem::path(rule.path);
    if (!is_plain(path)) {
      return fail(ErrorKind::kConfig, "{} is no absolute path without \"..\"", rule.path);
    }
    if (path.relative_path().empty()) {
      return fail(ErrorKind::kConfig, "a tree of its own cannot have all of / in it");
    }
    struct stat info {};
    if (::stat(rule.path.c_str(), &info) != 0) {
      continue;
    }
    Place place;
    place.source = rule.path;
    place.target = path.relative_path().string();
    place.folders = tree.folders_.size();
    place.is_folder = S_ISDIR(info.st_mode);
    place.is_device = S_ISCHR(info.st_mode);
    place.is_writable = rule.access == PathAccess::kManage || rule.access == PathAccess::kWrite;
    std::filesystem::path made;
    for (const auto& part : path.relative_path()) {
      made /= part;
      if (place.is_folder || made != path.relative_path()) {
        tree.folders_.push_back(made.string());
      }
    }
    tree.places_.push_back(std::move(place));
  }
  if (tree.places_.size() > kMostPlaces) {
    return fail(ErrorKind::kInternal, "A program's tree has more than {} places", kMostPlaces);
  }
  return tree;
}

bool OwnTree::take_places(std::span<int> trees) const noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    trees[i] = clone_tree(places_[i].source.c_str());
    if (trees[i] < 0) {
      return false;
    }
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_NOSUID;
    if (!places_[i].is_device) {
      attributes.attr_set |= MOUNT_ATTR_NODEV;
    }
    if (!places_[i].is_writable) {
      attributes.attr_set |= MOUNT_ATTR_RDONLY;
    }
    if (::mount_setattr(trees[i], "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                        sizeof attributes) != 0) {
      return false;
    }
  }
  return true;
}

/// In the new root, which is the current folder.
bool OwnTree::put(const Place& place, int tree) const noexcept {
  if (!place.is_folder) {
    const int file = ::open(place.target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    if (file < 0) {
      return false;
    }
    ::close(file);
  }
  return ::syscall(SYS_move_mount, tree, "", AT_FDCWD, place.target.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

bool OwnTree::mount_proc() const noexcept {
  if (::mkdir("proc", 0555) != 0) {
    return false;
  }
  if (has_all_of_proc_) {
    return ::mount("proc", "proc", "proc", kLockedTree, nullptr) == 0;
  }
  return ::mount("proc", "proc", "proc", kLockedTree, "hidepid=2,subset=pid") == 0 ||
         ::mount("proc", "proc", "proc", kLockedTree, nullptr) == 0;  // before Linux 5.8
}

bool OwnTree::fill(std::span<const int> trees) const noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const std::size_t end = i + 1 < places_.size() ? places_[i + 1].folders : folders_.size();
    for (std::size_t folder = places_[i].folders; folder < end; ++folder) {
      if (::mkdir(folders_[folder].c_str(), 0755) != 0 && errno != EEXIST) {
        return false;
      }
    }
    if (!put(places_[i], trees[i])) {
      return false;
    }
  }
  return mount_proc();
}

int OwnTree::enter(bool& is_stuck) const noexcept {
  std::array<int, kMostPlaces> trees{};
  const mode_t mask = ::umask(0022);  // others than root go through its folders
  const int error = enter_with(trees, is_stuck);
  ::umask(mask);
  return error;
}

int OwnTree::enter_with(std::span<int> trees, bool& is_stuck) const noexcept {
  if (!take_places(trees) || ::mount("none", kPlaceOfTree, "tmpfs", kLockedTree,
                                     "size=64k,nr_inodes=128,mode=0755") != 0) {
    return errno;
  }
  int error = ::chdir(kPlaceOfTree) == 0 && fill(trees) ? 0 : errno;
  if (error == 0) {
    error = swap_roots(is_stuck);
  }
  if (error != 0 && !is_stuck) {
    [[maybe_unused]] const int left = ::chdir("/");
    ::umount2(kPlaceOfTree, MNT_DETACH);
  }
  return error;
}

}  // namespace gpuvm
