// SPDX-License-Identifier: Apache-2.0
// Landlock: files and TCP ports that a thread may still reach, by the kernel's own system calls
// (the header of Debian 12 ends at ABI 2, so the numbers are ours). landlock(7), Linux
// Documentation/userspace-api/landlock.rst: ABI 1 Linux 5.13, 2 (rename, link) 5.19, 3 (truncate)
// 6.2, 4 (TCP) 6.7, 5 (ioctl of devices) 6.10, 6 (scopes) 6.12, 7 (audit) 6.15. Missing: the scope
// of signals, which before 6.15 also stopped those between threads of one process.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::sandbox {

/// What may be done below a path.
enum class PathAccess : std::uint8_t {
  kRead,     ///< files read, folders listed
  kWrite,    ///< the same, and files that exist written and truncated, devices' ioctls
  kExecute,  ///< kRead, and files run
  kManage,   ///< kWrite, and files, folders, sockets and FIFOs made, renamed and removed
};

struct PathRule {
  std::string path;  ///< a folder with all below it, or a file; one that is absent is left out
  PathAccess access = PathAccess::kRead;
};

/// The highest ABI that the kernel has; 0: it has none, and `why_not` says why.
struct LandlockSupport {
  int abi = 0;
  std::string why_not;  ///< "Linux has no Landlock (CONFIG_SECURITY_LANDLOCK)", …
};
LandlockSupport landlock_support();

/// A set of rules, made ahead.
class LandlockRules {
 public:
  /// Nothing below any path but what `rules` say, and no TCP port, as far as the kernel's ABI
  /// goes. Errors: kHost: no Landlock, or no rule can be made of a path.
  static Result<LandlockRules> create(std::span<const PathRule> rules);

  /// For the calling thread, and what it makes from then on; sets no_new_privs. Descriptors that
  /// are open stay as they are. 0 or errno. Async-signal-safe. At most 16 sets add up.
  int restrict_self() const noexcept;
  int abi() const { return abi_; }

 private:
  LandlockRules(UniqueFd fd, int abi) : fd_(std::move(fd)), abi_(abi) {}
  UniqueFd fd_;
  int abi_ = 0;
};

}  // namespace gpuvm::sandbox
