// SPDX-License-Identifier: Apache-2.0
// ControlQueue: the control queue of a network device whose other queues somebody else serves.
// Commands are taken at a rate and no faster: for each the kernel may attach or detach queues of
// the tap, which holds a lock that all of the host's network interfaces share (RTNL), and a guest
// can send commands without end. What is too much stays in the driver's ring until its time has
// come; it is answered when it is done, and never refused for this.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "devices/virtio/net/net_control.hpp"
#include "devices/virtio/token_bucket.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// One thread at a time, except where noted.
class ControlQueue {
 public:
  using Clock = TokenBucket::Clock;
  /// Drivers send one command when they start, and one when an administrator wants it.
  static constexpr double kCommandsASecond = 2;
  static constexpr double kMostAtOnce = 10;  ///< after a rest

  struct Options {
    std::uint16_t most_pairs = 1;  ///< of queues
    NetControl::UsePairs use_pairs = {};
    std::function<Clock::time_point()> now = Clock::now;
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<ControlQueue>> create(Options options);

  /// Serves this queue, and signals the eventfd `call` when the driver is to be interrupted. What
  /// was taken too fast before a reset is not forgotten.
  void start(const SplitQueue& queue, int call);
  bool is_started() const { return queue_.has_value(); }
  /// Another eventfd. Any thread.
  void set_call(int call) GPUVM_EXCLUDES(call_mutex_);
  /// How far it has come; nothing is served any more.
  QueuePosition stop();

  /// Readable when serve() is to be called although nobody rang. Never changes.
  int timer() const { return timer_.get(); }
  /// Carries out what is in the queue and may be, until `stopping` says so. Errors: kGuest.
  Status serve(const std::function<bool()>& stopping);

 private:
  ControlQueue(Options options, UniqueFd timer);
  bool must_rest();
  void answer(std::uint32_t written);

  const Options options_;
  const NetControl control_;
  const UniqueFd timer_;
  TokenBucket commands_;
  std::optional<SplitQueue> queue_;
  DescriptorChain command_;
  Mutex call_mutex_;
  int call_ GPUVM_GUARDED_BY(call_mutex_) = -1;
};

}  // namespace gpuvm
