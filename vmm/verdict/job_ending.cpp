// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/job_ending.hpp"

#include <algorithm>

namespace gpuvm {

void JobEnding::found(EndingCause cause, TimePoint now) {
  switch (cause) {
    case EndingCause::kNothing:
      return;
    case EndingCause::kStatus:
      press_by(now + times_.own_end);
      return;
    case EndingCause::kPattern:
      press_by(now + times_.pattern_rest);
      return;
    case EndingCause::kPanic:
      silent_since_ = has_crash_kernel_ ? std::nullopt : std::optional(now);
      break;
    case EndingCause::kCrashKernel:
      has_crash_kernel_ = true;
      silent_since_.reset();
      break;
  }
  press_at_.reset();  // nobody is left to hear it
  stop_by(now + times_.panic_most);
}

void JobEnding::limit_over(TimePoint now) {
  press_by(now);
}

void JobEnding::press_by(TimePoint time) {
  press_at_ = press_at_ ? std::min(*press_at_, time) : time;
  stop_by(time + times_.power_off);
}

void JobEnding::stop_by(TimePoint time) {
  stop_at_ = stop_at_ ? std::min(*stop_at_, time) : time;
}

std::optional<JobEnding::TimePoint> JobEnding::stop_time() const {
  if (!stop_at_ || is_stopped_) {
    return std::nullopt;
  }
  return silent_since_
             ? std::min(*stop_at_, std::max(*silent_since_, last_output_) + times_.panic_silence)
             : *stop_at_;
}

std::optional<JobEnding::TimePoint> JobEnding::next() const {
  const auto stop = stop_time();
  return stop && press_at_ ? std::min(*stop, *press_at_) : stop;
}

std::optional<JobEnding::Step> JobEnding::due(TimePoint now) {
  if (const auto stop = stop_time(); stop && *stop <= now) {
    is_stopped_ = true;
    return Step::kStop;
  }
  if (press_at_ && *press_at_ <= now && !is_stopped_) {
    press_at_.reset();
    return Step::kPressPowerButton;
  }
  return std::nullopt;
}

}  // namespace gpuvm
