// SPDX-License-Identifier: Apache-2.0
// What happens when a thread makes a call that its filter does not allow: the kernel sends it
// SIGSYS (SECCOMP_RET_TRAP, seccomp(2)), and the handler runs on that thread, with that thread's
// filter. It has no power that the thread does not have: it notes facts, signals an eventfd, and
// lets the call fail. What follows of the notes is the control thread's decision. A thread that is
// hostile can at most keep its own call from being noted, which was refused all the same.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/sandbox/filter.hpp"
#include "vmm/sandbox/filter_row.hpp"
#include "vmm/sandbox/roles/call_names.hpp"
#include "vmm/sandbox/roles/thread_role.hpp"
#include "vmm/sandbox/roles/trap_notes.hpp"

namespace gpuvm::sandbox {

/// All that the handler uses; never changed while threads have roles.
struct TrapSetup {
  bool logs = false;  ///< log mode: calls are carried out
  bool writes_line = false;
  int event = -1;
  TrapNotes* notes = nullptr;
  CallNames names = {};
  std::array<std::vector<Row>, kAllRoles.size()> rows = {};  ///< in log mode
};

/// Sets the handler for the process; `setup` must outlive it. Errors: kHost.
Status install_trap_handler(const TrapSetup& setup);

/// Handlers of other signals that are there now do not block SIGSYS any more: a call that traps
/// while it is blocked ends the process without a word (Linux, kernel/signal.c,
/// force_sig_info_to_task()).
void unblock_trap_in_handlers();

/// Who the calling thread is, for its handler: kept where a handler may read it.
void set_thread_identity(ThreadRole role);
/// The same without a system call, for one whose filter is there already. `name`: its own.
void set_thread_identity(ThreadRole role, std::string_view name);
std::optional<ThreadRole> thread_role();

/// As the handler does it, for what is found out in other ways. Async-signal-safe.
void tell_violation(const TrapSetup& setup, ThreadRole role, long number, std::uint64_t argument,
                    int error);

/// A filter that sends all calls to the handler but its own, and those that it cannot make for a
/// thread: clone(2), exit(2), rt_sigreturn(2) and their like.
Filter log_filter();

}  // namespace gpuvm::sandbox
