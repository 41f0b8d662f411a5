// SPDX-License-Identifier: Apache-2.0
// split_process(): one process becomes two, the owner and its monitor (docs/security-inside.md).
// The owner serves the monitor's requests, passes its own signals and the monitor's notifications
// on, waits for the monitor's end, however that comes, and then gives back what the monitor had.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/owner/journal_relay.hpp"
#include "vmm/owner/monitor_process.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {

/// What the owner's process does.
struct OwnerSide {
  Owner& duties;
  std::uint32_t cards = 0;  ///< that the configuration lets the guest have later
  /// After the monitor's end and before children that it leaves are ended: waits for what was asked
  /// for and is still under way here, which may have children of this process. On a thread of its
  /// own; may take minutes. May be empty.
  std::function<void()> settle = {};
  /// After the monitor's end, on a thread of its own; may take minutes. `killed`: its number, where
  /// it did not end by itself, else 0. May be empty.
  std::function<Status(pid_t killed)> give_back = {};
  /// Tells the service manager, and never waits; empty: there is none. Called from one thread.
  std::function<bool(std::string_view)> notify = {};
  /// Passes an entry of the monitor's on to the journal, and never waits; empty: there is none.
  /// Called from one thread.
  std::function<bool(std::string_view)> journal = {};
  JournalVoice voice = {};  ///< of the entries that are passed on
  /// The exit status of a monitor that did not end by itself; nothing: 128 and its signal.
  std::optional<int> status_of_killed = {};
  /// The exit status where give_back() ends with a device that did not come back from its reset;
  /// nothing: the error's.
  std::optional<int> status_of_unsafe = {};
  /// How long a monitor may take to its end from the first signal on that asks for it; one that a
  /// guest has taken over ignores signals, and is killed then. The longest that is honest: the
  /// guest's time to power off, resets, the memory of a vfio-user server's card overwritten.
  std::chrono::milliseconds longest_end = std::chrono::minutes(20);
  /// False: no core file, and no ptrace(2) by others of the same user.
  bool is_dumpable = false;
};

/// After split_process() exactly one of the first two is there.
struct SplitProcess {
  std::unique_ptr<Owner> monitor = {};  ///< this is the monitor, and that is its way to the owner
  std::optional<int> exit_status = {};  ///< this is the owner, and all is over
  /// With neither, one process is both: it ends what outlives the guest when this goes.
  std::unique_ptr<OrphanGuard> orphans = {};
  std::string reason = {};  ///< why it is one process, or two; for people, may be empty

  /// What one process has that is not split: to be held until all is over.
  static SplitProcess none();
};

/// Must be called while there is one thread. Returns in both processes: in the monitor at once, in
/// the owner when the monitor has ended and give_back() is done; signals that the owner would pass
/// on stay blocked there. Errors: kHost: there is still one process; in the owner: as give_back(),
/// where that is worse than how the monitor ended.
Result<SplitProcess> split_process(const OwnerSide& side);

/// In the monitor: the kernel kills it when the owner ends. One thread that has called this is
/// enough; a change of that thread's user or capabilities undoes it (prctl(2), PR_SET_PDEATHSIG):
/// call it again then.
void follow_owner();

}  // namespace gpuvm
