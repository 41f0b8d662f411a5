// SPDX-License-Identifier: Apache-2.0
#include "vmm/service/service_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <variant>

#include "vmm/base/text.hpp"

namespace gpuvm {
namespace {

/// A STATUS= of one line, also where a text of others has more of them.
std::string status_line(std::string_view text) {
  std::string line = terminal_text(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return "STATUS=" + line;
}

}  // namespace

std::string ServiceReport::extension() {
  return fmt::format("EXTEND_TIMEOUT_USEC={}", std::chrono::microseconds(kExtension).count());
}

std::string ServiceReport::begin() const {
  return "STATUS=Building the machine\n" + extension();
}

/// READY=1 once; a manager that has heard it takes another for a reload that it did not ask for.
std::string ServiceReport::ready(const std::string& status) {
  if (is_ready_) {
    return status;
  }
  is_ready_ = true;
  return "READY=1\n" + status;
}

std::string ServiceReport::after_state(LifecycleState state) {
  takes_time_ = state == LifecycleState::kResetting || state == LifecycleState::kRebooting ||
                state == LifecycleState::kStopping;
  switch (state) {
    case LifecycleState::kCreated:
      return {};
    case LifecycleState::kResetting:
      return "STATUS=Resetting devices\n" + extension();
    case LifecycleState::kRunning:
      if (ready_when_ == ReadyWhen::kGuest && !is_ready_) {
        return "STATUS=Running; the guest has not said yet that it is ready";
      }
      return ready("STATUS=Running");
    case LifecycleState::kPaused:
      return "STATUS=Paused";
    case LifecycleState::kRebooting:
      return "STATUS=Rebooting: resetting devices\n" + extension();
    case LifecycleState::kStopping:
      return "STOPPING=1\nSTATUS=Stopping: making devices quiet\n" + extension();
    case LifecycleState::kStopped:
      return "STATUS=Stopped; devices are quiet";
    case LifecycleState::kFailed:
      return "STATUS=Failed";
  }
  return {};
}

std::string ServiceReport::after_word(const GuestWord& word) {
  if (word.word == "panic") {
    return "STATUS=The guest's kernel panicked";
  }
  return word.word == "ready" && ready_when_ == ReadyWhen::kGuest && !is_ready_
             ? ready("STATUS=Running")
             : "";
}

std::string ServiceReport::after(const GuestEvent& event) {
  if (const auto* change = std::get_if<StateChange>(&event.what)) {
    return after_state(change->to);
  }
  if (const auto* word = std::get_if<GuestWord>(&event.what)) {
    return after_word(*word);
  }
  if (const auto* reset = std::get_if<DevicesReset>(&event.what);
      reset != nullptr && reset->verdict == "failed") {
    return status_line(fmt::format("{} did not come back from a reset", reset->functions));
  }
  if (const auto* scrub = std::get_if<ScrubUnderWay>(&event.what)) {
    return status_line(fmt::format("Overwriting the memory of {}: {} of {} MiB", scrub->function,
                                   scrub->done_bytes >> 20, scrub->all_bytes >> 20));
  }
  if (std::holds_alternative<EndAsked>(event.what)) {
    return "STATUS=Waiting for the guest to power off";
  }
  return {};
}

}  // namespace gpuvm
