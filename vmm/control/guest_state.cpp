// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/guest_state.hpp"

#include <algorithm>
#include <array>

namespace gpuvm {
namespace {

using State = LifecycleState;

struct Transition {
  State from;
  State to;
};

constexpr std::array kTransitions = {
    Transition{State::kCreated, State::kResetting},
    Transition{State::kResetting, State::kRunning},
    Transition{State::kRunning, State::kPaused},
    Transition{State::kPaused, State::kRunning},
    Transition{State::kRunning, State::kRebooting},
    Transition{State::kRebooting, State::kRunning},
    Transition{State::kRunning, State::kStopping},
    Transition{State::kPaused, State::kStopping},
    Transition{State::kRebooting, State::kStopping},
    Transition{State::kResetting, State::kStopping},
    Transition{State::kCreated, State::kStopping},
    Transition{State::kStopping, State::kStopped},
};

}  // namespace

std::string_view to_string(LifecycleState state) {
  switch (state) {
    case State::kCreated:
      return "created";
    case State::kResetting:
      return "resetting";
    case State::kRunning:
      return "running";
    case State::kPaused:
      return "paused";
    case State::kRebooting:
      return "rebooting";
    case State::kStopping:
      return "stopping";
    case State::kStopped:
      return "stopped";
    case State::kFailed:
      return "failed";
  }
  return "unknown";
}

bool Lifecycle::may_follow(State from, State to) {
  if (to == State::kFailed) {
    return from != State::kStopped && from != State::kFailed;
  }
  return std::any_of(kTransitions.begin(), kTransitions.end(), [from, to](const Transition& row) {
    return row.from == from && row.to == to;
  });
}

bool Lifecycle::enter(State next) {
  if (!may_follow(state_, next)) {
    return false;
  }
  state_ = next;
  return true;
}

}  // namespace gpuvm
