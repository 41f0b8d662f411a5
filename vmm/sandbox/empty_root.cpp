// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/empty_root.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace gpuvm::sandbox {
namespace {

/// Where the empty folder is mounted first: a folder that is on every Linux.
constexpr const char* kPlace = "/proc";
constexpr unsigned long kLocked = MS_NOSUID | MS_NODEV | MS_NOEXEC;

bool mount_empty() {
  return ::mount("none", kPlace, "tmpfs", kLocked, "size=4k,nr_inodes=2,mode=0555") == 0;
}

/// The old tree goes onto the new root itself (pivot_root(2), ".", "."), and from there away.
bool swap_roots() {
  return ::chdir(kPlace) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 &&
         ::umount2(".", MNT_DETACH) == 0 && ::chdir("/") == 0;
}

bool make_read_only() {
  return ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kLocked, nullptr) == 0;
}

}  // namespace

int enter_empty_root() noexcept {
  const bool done = ::unshare(CLONE_NEWNS) == 0 &&
                    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                    mount_empty() && swap_roots() && make_read_only();
  return done ? 0 : errno;
}

}  // namespace gpuvm::sandbox
