// SPDX-License-Identifier: Apache-2.0
// NotifyRelay: the service manager hears its main process only, which is the owner; the monitor's
// notifications (sd_notify(3)) come to a socket of the owner's, and those of a list are passed on.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/owner/monitor_socket.hpp"

namespace gpuvm {

/// Of a notification the lines that a monitor may send: that the guest runs and ends, a status, the
/// watchdog's, and a minute more of time. Empty: none.
std::string allowed_notification(std::string_view notification);

/// One thread.
class NotifyRelay {
 public:
  using Clock = MonitorSocket::Clock;
  /// Notifications at once, and how often another one is due: what is more is dropped, since the
  /// service manager serves others, too. A monitor of ours sends one in half a second at most.
  static constexpr unsigned kBurst = 32;
  static constexpr std::chrono::milliseconds kEvery{100};

  /// To the service manager; never waits.
  using Send = std::function<bool(std::string_view)>;
  /// `now`: tests have a clock of their own. Errors: kHost.
  static Result<NotifyRelay> create(
      Send send, std::function<Clock::time_point()> now = [] { return Clock::now(); });

  /// -1: the monitor has closed its end.
  int fd() const { return socket_.fd(); }
  /// The monitor's end: what is sent there arrives here.
  int monitor_end() const { return socket_.monitor_end(); }
  /// In the monitor's process, once: it stays open, and is its NOTIFY_SOCKET ("fd:7", as
  /// NotifySocket in vmm/service has it).
  std::string hand_to_monitor();
  /// In the owner's.
  void close_monitor_end() { socket_.take_monitor_end().reset(); }
  /// Passes on what `monitor` has sent; what others sent, or comes with descriptors, is dropped. A
  /// few at a time.
  void pass_on(pid_t monitor);
  /// When the monitor has ended: as MonitorSocket has it.
  void stop() { socket_.stop(); }
  /// The owner's own word.
  void say(std::string_view notification) const { send_(notification); }

 private:
  NotifyRelay(Send send, MonitorSocket socket)
      : send_(std::move(send)), socket_(std::move(socket)) {}

  Send send_;
  MonitorSocket socket_;
};

}  // namespace gpuvm
