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
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// Of a notification the lines that a monitor may send: that the guest runs and ends, a status, the
/// watchdog's, and a minute more of time. Empty: none.
std::string allowed_notification(std::string_view notification);

/// One thread.
class NotifyRelay {
 public:
  using Clock = std::chrono::steady_clock;
  /// Notifications at once, and how often another one is due: what is more is dropped, since the
  /// service manager serves others, too. A monitor of ours sends one in half a second at most.
  static constexpr unsigned kBurst = 32;
  static constexpr std::chrono::milliseconds kEvery{100};

  /// To the service manager; never waits.
  using Send = std::function<bool(std::string_view)>;
  /// A socket with an abstract name that the kernel chooses. `now`: tests have a clock of their
  /// own. Errors: kHost.
  static Result<NotifyRelay> create(
      Send send, std::function<Clock::time_point()> now = [] { return Clock::now(); });

  int fd() const { return fd_.get(); }
  /// For NOTIFY_SOCKET.
  const std::string& address() const { return address_; }
  /// Passes on what `monitor` has sent; what others sent, or comes with descriptors, is dropped. A
  /// few at a time.
  void pass_on(pid_t monitor);
  /// The owner's own word.
  void say(std::string_view notification) const { send_(notification); }

 private:
  NotifyRelay(Send send, std::function<Clock::time_point()> now, UniqueFd fd, std::string address)
      : send_(std::move(send)),
        now_(std::move(now)),
        fd_(std::move(fd)),
        address_(std::move(address)),
        filled_(now_()) {}
  bool has_room();

  Send send_;
  std::function<Clock::time_point()> now_;
  UniqueFd fd_;
  std::string address_;
  unsigned tokens_ = kBurst;
  Clock::time_point filled_;  ///< up to when tokens were counted
};

}  // namespace gpuvm
