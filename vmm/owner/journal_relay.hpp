// SPDX-License-Identifier: Apache-2.0
// JournalRelay: entries of the monitor's log for systemd's journal come to the owner, which passes
// those on that have nothing but gpuvm's fields, with values that are this guest's. The journal's
// own socket would let a monitor that a guest has taken over send to any local socket of the host.
// The journal takes them for the owner's: their _PID is its.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/owner/monitor_socket.hpp"

namespace gpuvm {

/// Who the monitor may say that it is, and what its entries may be found by.
struct JournalVoice {
  std::string guest = {};                     ///< GPUVM_NAME
  std::vector<std::string> message_ids = {};  ///< MESSAGE_ID: those of docs/systemd.md
};

/// Whether an entry (journal_entry() of vmm/base/journal.hpp) is whole and has those fields alone,
/// is gpuvm's and this guest's, and has a level of our log (log::Level): one of those above would
/// be shown on each terminal of the host (journald.conf(5), MaxLevelWall).
bool is_allowed_journal_entry(std::string_view entry, const JournalVoice& voice);

/// One thread.
class JournalRelay {
 public:
  using Clock = MonitorSocket::Clock;
  /// More than this is dropped. A log of ours has 100 lines a second that begin alike.
  static constexpr unsigned kBurst = 1000;
  static constexpr std::chrono::milliseconds kEvery{5};

  /// To the journal; never waits.
  using Send = std::function<bool(std::string_view)>;
  /// `now`: tests have a clock of their own. Errors: kHost.
  static Result<JournalRelay> create(
      Send send, JournalVoice voice,
      std::function<Clock::time_point()> now = [] { return Clock::now(); });

  /// -1: the monitor has closed its end.
  int fd() const { return socket_.fd(); }
  int monitor_end() const { return socket_.monitor_end(); }
  /// In the monitor's process it becomes the log's (log::use_journal_by()), in the owner's it is
  /// closed.
  UniqueFd take_monitor_end() { return socket_.take_monitor_end(); }
  /// Passes on what `monitor` has sent, a few at a time.
  void pass_on(pid_t monitor);
  /// When the monitor has ended: as MonitorSocket has it.
  void stop() { socket_.stop(); }

 private:
  JournalRelay(Send send, JournalVoice voice, MonitorSocket socket)
      : send_(std::move(send)), voice_(std::move(voice)), socket_(std::move(socket)) {}

  Send send_;
  JournalVoice voice_;
  MonitorSocket socket_;
};

}  // namespace gpuvm
