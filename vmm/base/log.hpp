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
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError };

/// Sets the least level that is shown (default info). Call before threads start.
void set_level(Level level);
/// Also writes every line to this file, appended to what it has of such lines
/// (vmm/base/append_file.hpp says which file may be). Errors: kUsage.
Status set_file(const std::string& path);
/// Where stderr leads to systemd's journal (the environment's JOURNAL_STREAM says so and is right),
/// lines go there as entries with PRIORITY, MESSAGE and the fields below, and no more to stderr but
/// when the journal does not take one. Call before threads start.
void use_journal();
/// Where there is a journal: entries go to this socket from now on, which somebody passes on. Call
/// before threads start.
void use_journal_by(UniqueFd socket);
/// Such an entry, whole, to the journal. False: it does not take it now. Never waits. Any thread.
bool pass_on_journal_entry(std::string_view entry);
/// Lines on stderr are JSON objects: {"time":"2026-01-01T00:00:00.000Z","level":"info",
/// "guest":"main","message":"…"}, without "guest" where none is set. Call before threads start.
void use_json();
/// Whether lines are as on a terminal: neither entries of the journal nor JSON.
bool is_plain();
/// Whether they are entries of the journal.
bool has_journal();
/// The guest of whom lines are from now on: field GPUVM_NAME of each entry, "guest" of JSON. Call
/// before threads start.
void set_guest(std::string name);

/// An event for those who look for it in the journal: journalctl MESSAGE_ID=….
struct JournalEvent {
  std::string_view message_id = {};  ///< 32 hexadecimal digits
  std::string_view device = {};      ///< GPUVM_DEVICE; "": none
  std::string_view name = {};        ///< GPUVM_EVENT, as the line of --events has it
};
/// An entry of the journal, where there is one: what others read of --events. Any thread.
void journal_event(Level level, const JournalEvent& event, const std::string& text);

/// Of lines that begin alike 100 in a second are written, and 6000 in an hour: a backstop for those
/// that a guest can cause and that have no RateLimit of their own (debug and trace have none). Any
/// thread.
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
