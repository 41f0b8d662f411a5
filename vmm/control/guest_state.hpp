// SPDX-License-Identifier: Apache-2.0
// LifecycleState: the states of a guest, and Lifecycle: which may follow which. Pure; who owns one
// synchronises it.
//
//   from          to
//   created       resetting, stopping
//   resetting     running, stopping
//   running       paused, rebooting, stopping
//   paused        running, stopping
//   rebooting     running, stopping
//   stopping      stopped
//   all of these  failed
//   stopped, failed: the end
#pragma once

#include <string_view>

namespace gpuvm {

enum class LifecycleState {
  kCreated,    ///< built; the guest has never run
  kResetting,  ///< devices are being brought into a known state
  kRunning,
  kPaused,     ///< vCPUs and virtio queues rest, everything else is kept
  kRebooting,  ///< the guest asked for a reset; devices and CPUs start over
  kStopping,   ///< devices are made quiet
  kStopped,    ///< done; nothing of the guest is left
  kFailed,     ///< cannot go on
};

std::string_view to_string(LifecycleState state);

class Lifecycle {
 public:
  LifecycleState state() const { return state_; }
  /// True, and the state changed, if `next` may follow the present state.
  [[nodiscard]] bool enter(LifecycleState next);
  static bool may_follow(LifecycleState from, LifecycleState to);

 private:
  LifecycleState state_ = LifecycleState::kCreated;
};

}  // namespace gpuvm
