// SPDX-License-Identifier: Apache-2.0
// What a process or thread may by who it is: capabilities(7), credentials(7), setrlimit(2),
// PR_SET_DUMPABLE (prctl(2)). Threads have credentials of their own in Linux: what is raw here
// changes the calling thread, and what it makes from then on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm::sandbox {

/// A set of capabilities, bit N: capability N of <linux/capability.h>.
using Capabilities = std::uint64_t;
constexpr Capabilities capability(unsigned number) {
  return Capabilities{1} << number;
}

/// Leaves of the calling thread's effective and permitted set what is in `kept` and it has, and
/// nothing of the others: inheritable, ambient, and the bounding set, where CAP_SETPCAP allows it.
/// 0 or errno. Async-signal-safe; without capabilities it does nothing and succeeds.
int keep_capabilities(Capabilities kept) noexcept;
/// Of those that the calling thread is permitted: in force from now on, besides what is. After a
/// change of user none are, even where PR_SET_KEEPCAPS (prctl(2)) has kept them permitted. 0 or
/// errno. Async-signal-safe.
int use_capabilities(Capabilities wanted) noexcept;
/// The calling thread's effective set.
Capabilities own_capabilities() noexcept;

/// Who a process is to be.
struct Identity {
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups = {};  ///< supplementary ones
};
/// The user by name or number; `group` empty: the user's own. Errors: kConfig: there is none.
/// Reads the host's user database: not in a child, and not when files are out of reach.
Result<Identity> find_identity(const std::string& user, const std::string& group);
/// Real, effective, saved and file system ids of the calling thread, with raw calls: in a process
/// with one thread, those of the process. Needs CAP_SETUID and CAP_SETGID, and ends with none. It
/// clears PR_SET_PDEATHSIG and the dumpable flag (prctl(2)): set these afterwards. 0 or
/// errno. Async-signal-safe.
int become(const Identity& identity) noexcept;

/// PR_SET_NO_NEW_PRIVS of the calling thread. 0 or errno. Async-signal-safe. Linux 3.5.
int set_no_new_privileges() noexcept;
/// No ptrace(2) by processes of the same user, and no core dump. Of the whole process; execve(2)
/// undoes it. 0 or errno. Async-signal-safe.
int forbid_dumps() noexcept;

/// Threads that are SCHED_IDLE may come back to the usual priority when they have no capabilities
/// any more (sched(7), RLIMIT_NICE). Of the whole process; without CAP_SYS_RESOURCE it may do
/// nothing.
void allow_usual_priority() noexcept;
/// No core file, and none piped into a program either: with a limit of 0 the kernel still does that
/// (core(5), core_pattern), with 1 it makes none at all. Of the whole process, over execve(2). 0 or
/// errno. Async-signal-safe.
int forbid_core_files() noexcept;
/// forbid_core_files(), no POSIX message queues, no real-time priority; with
/// `forbids_processes` no further thread or process of a user other than root (RLIMIT_NPROC 0).
/// Hard limits of the whole process. 0 or errno. Async-signal-safe.
int set_limits(bool forbids_processes) noexcept;

}  // namespace gpuvm::sandbox
