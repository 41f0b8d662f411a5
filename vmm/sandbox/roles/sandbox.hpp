// SPDX-License-Identifier: Apache-2.0
// The sandbox of this process: prepare() once, before threads are made; then each thread enters its
// role. There is one for the process because the kernel has one handler of SIGSYS for it, and
// because a thread in any room must be able to enter its role: without prepare(), as in unit tests
// and most verbs, enter() does nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/sandbox/confine.hpp"
#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

enum class Mode : std::uint8_t {
  kOn,   ///< a call that is not listed fails with EPERM, and ends the guest
  kLog,  ///< it is carried out and noted, as are those that are listed: for tests of the lists
  kOff,
};

struct Policy {
  Mode mode = Mode::kOff;
  /// The owner is a process of its own: rows for its work are left out, and no thread has files.
  bool has_owner = false;
  std::string why_owner = {};  ///< that is so, or not: told as a layer; "": it is not told
  /// With an owner: cards come while the guest runs. The worker maps memory for them, so it keeps
  /// the right to lock memory.
  bool has_late_cards = false;
  std::optional<Identity> identity = {};  ///< whom threads become; with an owner only
  /// Without an owner: what threads of the worker's role, and that of the variables', still open.
  std::vector<PathRule> worker_paths = {};
  std::vector<PathRule> variable_paths = {};
  /// In log mode: where the notes go when the sandbox ends, appended; "": to the log.
  std::string call_log = {};
  /// The handler writes one line to stderr by itself, in case that nobody else can.
  bool writes_line = true;
};

/// Makes the filters of all roles, opens what is needed and sets the handler of SIGSYS. Call once,
/// from the one thread that there is, before helpers and background threads start; those that it
/// makes itself have ended when it returns. Errors: kHost:
/// the kernel has no seccomp filters (kOn and kLog), kConfig: the log of calls cannot be opened.
/// A second call with the same mode is a new run of the same process: notes start over.
Status prepare(const Policy& policy);
/// kOff before prepare().
Mode mode();

/// The calling thread becomes one of this role: no_new_privs, capabilities and files given up where
/// the role has no use for them, and its filter. For good: a thread has one role, and a second call
/// with the same one does nothing. Where the kernel refuses, the guest is ended as for a forbidden
/// call. Any thread.
void enter(ThreadRole role);
/// The calling thread has entered this role. False without prepare(). Any thread.
bool has_entered(ThreadRole role);
/// In place of enter(), for a thread that one of this role has made: it has all of the role from
/// its maker (seccomp(2), capabilities(7), landlock(7)), and has no right to take it on once more.
/// `name`: of the thread, for messages.
void inherit(ThreadRole role, std::string_view name);

/// Readable (poll(2)) from the first forbidden call on; -1 without prepare() or in another mode.
int violation_event();
/// A forbidden call, as told by the thread that made it: the values are of a thread that may be
/// hostile, so they are facts about nothing else. Lines are made of them by text().
struct Violation {
  ThreadRole role = ThreadRole::kControl;
  std::string thread;          ///< its name, printable
  long number = -1;            ///< -1: no call was forbidden, but the thread could not be confined
  std::string call;            ///< "openat"; "" where libseccomp does not know the number
  std::uint64_t argument = 0;  ///< the second, which for ioctl is the request
  int error = 0;               ///< with number -1: errno
  /// "Thread vcpu-0 (role vcpu) made the forbidden system call openat (257): …".
  std::string text() const;
};
/// Those since the last call, oldest first, at most 16. Any thread.
std::vector<Violation> take_violations();

/// The whole process gives up what confine_process() says: once, when all is opened and before
/// the guest's first instruction. All layers, those of roles too, as far as this kernel and these
/// rights go.
Layers confine_all();

/// Ends log mode's notes: writes them. Any thread; does nothing in other modes.
Status finish();

}  // namespace gpuvm::sandbox
