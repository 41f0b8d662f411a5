// SPDX-License-Identifier: Apache-2.0
// MonitorSocket: what a monitor says to somebody else of the host comes to a socket of its owner's
// first. It has no name, by which any user of the host could fill it, and takes packets, not
// datagrams: by a socket for these a monitor that a guest has taken over could send to any other
// socket of the host (unix(7)).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// One thread.
class MonitorSocket {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    std::size_t most = 0;                ///< bytes of a packet
    unsigned burst = 0;                  ///< packets at once
    std::chrono::milliseconds every{0};  ///< how often another one is due
  };
  /// `now`: tests have a clock of their own. Errors: kHost.
  static Result<MonitorSocket> create(const Limits& limits, std::function<Clock::time_point()> now);

  /// -1: the monitor has closed its end, or stop() ours.
  int fd() const { return fd_.get(); }
  int monitor_end() const { return monitor_end_.get(); }
  UniqueFd take_monitor_end() { return std::move(monitor_end_); }

  /// Hands over what `monitor` has sent; what others sent, is too long, or comes with descriptors,
  /// is dropped. A few at a time; never waits.
  void hear(pid_t monitor, const std::function<void(std::string_view)>& each);
  /// Nothing is heard any more. What was sent and not heard is dropped, with descriptors.
  void stop() { fd_.reset(); }
  /// Whether one more packet may be passed on now. Counts it.
  bool has_room();

 private:
  MonitorSocket(const Limits& limits, std::function<Clock::time_point()> now, UniqueFd fd,
                UniqueFd monitor_end)
      : limits_(limits),
        now_(std::move(now)),
        fd_(std::move(fd)),
        monitor_end_(std::move(monitor_end)),
        bytes_(limits.most),
        tokens_(limits.burst),
        filled_(now_()) {}

  Limits limits_;
  std::function<Clock::time_point()> now_;
  UniqueFd fd_;
  UniqueFd monitor_end_;
  std::vector<char> bytes_;
  unsigned tokens_;
  Clock::time_point filled_;  ///< up to when tokens were counted
};

}  // namespace gpuvm
