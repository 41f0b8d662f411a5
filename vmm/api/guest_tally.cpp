// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/guest_tally.hpp"

#include <algorithm>

namespace gpuvm {

void GuestTally::add(const GuestEvent& event) {
  ++events_;
  if (const auto* change = std::get_if<StateChange>(&event.what)) {
    add(*change, event.time);
  } else if (const auto* reset = std::get_if<DevicesReset>(&event.what)) {
    add(*reset);
  } else if (const auto* vsock = std::get_if<VsockReady>(&event.what)) {
    cid_ = vsock->cid;
  }
}

void GuestTally::add(const StateChange& change, Time time) {
  state_ = change.to;
  since_ = time;
  if (change.to == LifecycleState::kRunning && change.from != LifecycleState::kPaused) {
    ++lives_;
    ran_ = ran_.value_or(time);
  }
}

void GuestTally::add(const DevicesReset& reset) {
  ResetKind kind{reset.functions, reset.reason, reset.verdict};
  if (resets_.size() >= kMostKinds && !resets_.contains(kind)) {
    kind = {"others", "others", "others"};
  }
  Resets& resets = resets_[kind];
  ++resets.count;
  resets.milliseconds += reset.duration_ms;
}

std::chrono::milliseconds GuestTally::uptime(Time now) const {
  using std::chrono::milliseconds;
  return ran_ ? std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(now - *ran_))
              : milliseconds(0);
}

void EventRing::add(std::string_view line) {
  if (line.size() > kMostBytes) {
    return;
  }
  if (text_.size() + line.size() > kMostBytes) {
    // A quarter at least: not every line moves all of them.
    const std::size_t needed = text_.size() + line.size() - kMostBytes;
    const std::size_t end = text_.find('\n', std::max(needed, kMostBytes / 4) - 1);
    text_.erase(0, end == std::string::npos ? end : end + 1);
  }
  text_.append(line);
}

}  // namespace gpuvm
