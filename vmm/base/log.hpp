// SPDX-License-Identifier: Apache-2.0
// Logging. Levels by audience: error = what the user asked for failed; warn = odd, may be ignored;
// info = stages of a run, never repeated; debug and trace = for us. spdlog stays behind log.cpp so
// that including this is cheap.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError };

/// Sets the least level that is shown (default info). Call before threads start.
void set_level(Level level);
/// Also writes every line to this file (appended). Errors: kUsage if it cannot be opened.
Status set_file(const std::string& path);
/// Any thread.
void write(Level level, fmt::string_view format, fmt::format_args args);

template <class... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kTrace, format, fmt::make_format_args(args...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kDebug, format, fmt::make_format_args(args...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kInfo, format, fmt::make_format_args(args...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarn, format, fmt::make_format_args(args...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, format, fmt::make_format_args(args...));
}

/// Lets through `burst` lines per second and 60 times as many in an hour, for lines that a guest
/// can cause at will: it may run for months, and the log's disk is not its own. Any thread.
class RateLimit {
 public:
  static constexpr std::uint32_t kBurstsInAnHour = 60;
  using Clock = std::chrono::steady_clock;
  explicit RateLimit(std::uint32_t burst = 5) : burst_(burst) {}
  /// True if the line may be written now.
  bool allow() { return allow(Clock::now()); }
  bool allow(Clock::time_point now);

 private:
  /// How many have passed in a stretch of time.
  struct Window {
    std::atomic<std::int64_t> number{-1};
    std::atomic<std::uint32_t> used{0};
    bool has_room(std::int64_t now, std::uint32_t most);
  };
  const std::uint32_t burst_;
  Window second_;
  Window hour_;
};

}  // namespace gpuvm::log
