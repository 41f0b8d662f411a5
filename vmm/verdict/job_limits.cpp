// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/job_limits.hpp"

#include <fmt/format.h>

namespace gpuvm {
namespace {

constexpr JobLimit kAllLimits[] = {JobLimit::kTimeout, JobLimit::kFirstConsole, JobLimit::kConsole};

}  // namespace

const char* limit_name(JobLimit limit) {
  switch (limit) {
    case JobLimit::kTimeout:
      return "timeout";
    case JobLimit::kFirstConsole:
      return "first_console_timeout";
    case JobLimit::kConsole:
      return "console_timeout";
  }
  return "";
}

std::string duration_text(std::chrono::milliseconds duration) {
  if (duration % std::chrono::seconds(1) != std::chrono::milliseconds(0)) {
    return duration < std::chrono::seconds(1)
               ? fmt::format("{} ms", duration.count())
               : fmt::format("{:.1f} s", static_cast<double>(duration.count()) / 1000);
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  const auto hours = seconds / 3600;
  const auto minutes = seconds / 60 % 60;
  std::string text = hours > 0 ? fmt::format("{}h", hours) : std::string();
  const auto add = [&text](const std::string& part) {
    text += text.empty() ? "" : " ";
    text += part;
  };
  if (minutes > 0) {
    add(fmt::format("{}min", minutes));
  }
  if (seconds % 60 > 0 || text.empty()) {
    add(fmt::format("{}s", seconds % 60));
  }
  return text;
}

void LimitClock::guest_runs(TimePoint now) {
  is_running_ = true;
  last_sign_ = now;
  if (!began_) {
    began_ = now;
  }
}

void LimitClock::console_output(TimePoint now) {
  has_printed_ = true;
  last_sign_ = now;
}

std::optional<LimitClock::TimePoint> LimitClock::end_of(JobLimit limit) const {
  const auto after = [](TimePoint begin, std::chrono::milliseconds length) {
    return length.count() > 0 ? std::optional(begin + length) : std::nullopt;
  };
  if (!began_) {
    return std::nullopt;
  }
  switch (limit) {
    case JobLimit::kTimeout:
      return after(*began_, limits_.timeout);
    case JobLimit::kFirstConsole:
      return has_printed_ || !is_running_ ? std::nullopt : after(*began_, limits_.first_console);
    case JobLimit::kConsole: {
      // Before the first byte it is the other limit's, where there is one.
      const bool is_others = !has_printed_ && limits_.first_console.count() > 0;
      return is_others || !is_running_ ? std::nullopt : after(last_sign_, limits_.console);
    }
  }
  return std::nullopt;
}

std::optional<LimitClock::TimePoint> LimitClock::next() const {
  std::optional<TimePoint> first;
  for (const JobLimit limit : kAllLimits) {
    const auto end = end_of(limit);
    if (end && (!first || *end < *first)) {
      first = end;
    }
  }
  return first;
}

std::optional<JobLimit> LimitClock::expired(TimePoint now) const {
  for (const JobLimit limit : kAllLimits) {
    const auto end = end_of(limit);
    if (end && *end <= now) {
      return limit;
    }
  }
  return std::nullopt;
}

}  // namespace gpuvm
