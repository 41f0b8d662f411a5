// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.hpp"

#include <fmt/chrono.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/append_file.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/journal.hpp"
#include "vmm/base/text.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kTrace:
      return spdlog::level::trace;
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// spdlog's own registry would be a global with static construction order; one function-local
/// logger is enough.
spdlog::logger& logger() {
  static const auto instance = [] {
    auto created = std::make_shared<spdlog::logger>(
        "gpuvm", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    created->set_pattern("gpuvm: %^%l%$: %v");
    created->set_level(spdlog::level::info);
    return created;
  }();
  return *instance;
}

/// The way to systemd's journal, and who speaks. Changed before threads start.
struct Journal {
  std::optional<JournalSocket> socket = {};
  std::string guest = {};
  bool is_json = false;
};

Journal& journal() {
  static Journal instance;
  return instance;
}

/// As syslog(3) numbers them: what PRIORITY and "<N>" say.
int priority_of(Level level) {
  switch (level) {
    case Level::kTrace:
    case Level::kDebug:
      return 7;
    case Level::kInfo:
      return 6;
    case Level::kWarn:
      return 4;
    case Level::kError:
      return 3;
  }
  return 3;
}

/// A line of JSON. spdlog 1.10 has none.
class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto time = std::chrono::time_point_cast<std::chrono::milliseconds>(message.time);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    const auto level = spdlog::level::to_string_view(message.level);
    InspectNode line;
    line.field("time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                                   fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                                   (time - seconds).count()));
    line.field("level", std::string_view(level.data(), level.size()));
    if (!journal().guest.empty()) {
      line.field("guest", journal().guest);
    }
    line.field("message", std::string_view(message.payload.data(), message.payload.size()));
    const std::string text = line.to_json() + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

/// Lines of one kind, by how they begin: whoever writes them forgot a RateLimit of its own, and a
/// guest has found that out. Kinds that share a place share its limit.
struct Backstop {
  static constexpr std::uint32_t kBurst = 100;
  RateLimit limit{kBurst};
  std::atomic<bool> is_told{false};
};

Backstop& backstop_of(std::string_view beginning) {
  constexpr std::size_t kPlaces = 64;
  static std::array<Backstop, kPlaces> places;
  return places[std::hash<std::string_view>()(beginning) % kPlaces];
}

/// Of a format that says nothing itself, "{}", what it makes, without numbers, which differ in
/// lines of one kind.
std::string beginning_of(fmt::string_view format, fmt::format_args args) {
  constexpr std::size_t kLength = 40;
  const std::string_view text(format.data(), format.size());
  if (!text.starts_with("{}")) {
    return std::string(text.substr(0, kLength));
  }
  std::string beginning = fmt::vformat(format, args).substr(0, kLength);
  std::erase_if(beginning, [](char c) { return c >= '0' && c <= '9'; });
  return beginning;
}

void write_to_journal(Level level, const JournalEvent& event, const std::string& text) {
  const std::string priority = std::to_string(priority_of(level));
  std::vector<JournalField> fields = {
      {"MESSAGE", text}, {"PRIORITY", priority}, {"SYSLOG_IDENTIFIER", "gpuvm"}};
  for (const auto& [name, value] :
       {JournalField{"GPUVM_NAME", journal().guest}, JournalField{"GPUVM_DEVICE", event.device},
        JournalField{"GPUVM_EVENT", event.name}, JournalField{"MESSAGE_ID", event.message_id}}) {
    if (!value.empty()) {
      fields.push_back({name, value});
    }
  }
  if (!journal().socket->send(journal_entry(fields))) {
    // As sd-daemon(3) has it. A line of the text must not look like an entry of its own.
    std::fprintf(stderr, "<%s>%s\n", priority.c_str(), escaped_line(text).c_str());
  }
}

void put(Level level, const std::string& text) {
  logger().log(to_spdlog(level), "{}", text);
  if (has_journal()) {
    write_to_journal(level, {}, text);
  }
}

}  // namespace

void use_journal() {
  if (has_journal() || !is_journal_stream(std::getenv("JOURNAL_STREAM"), STDERR_FILENO)) {
    return;
  }
  // One that cannot be reached takes no entry: then they go to stderr in their own form.
  auto socket = JournalSocket::open();
  journal().socket = socket ? std::move(socket) : JournalSocket::unreachable();
  logger().sinks().erase(logger().sinks().begin());  // that of stderr; a file's stays
}

void use_journal_by(UniqueFd socket) {
  if (has_journal()) {
    journal().socket = JournalSocket::of(std::move(socket));
  }
}

bool pass_on_journal_entry(std::string_view entry) {
  return has_journal() && journal().socket->send(entry);
}

void use_json() {
  journal().is_json = true;
  logger().sinks().front()->set_formatter(std::make_unique<JsonFormatter>());
}

bool is_plain() {
  return !journal().is_json && !has_journal();
}

bool has_journal() {
  return journal().socket.has_value();
}

void set_guest(std::string name) {
  journal().guest = std::move(name);
}

void journal_event(Level level, const JournalEvent& event, const std::string& text) {
  if (has_journal()) {
    write_to_journal(level, event, text);
  }
}

void set_level(Level level) {
  logger().set_level(to_spdlog(level));
}

Status set_file(const std::string& path) {
  // Not by spdlog, which would make the folders of a mistyped path and write to any file.
  const UniqueFd fd = TRY(open_to_append(path, AppendedLines::kDated, "--log-file"));
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(
        fmt::format("/proc/self/fd/{}", fd.get()));
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l: %v");
    logger().sinks().push_back(std::move(sink));
    logger().flush_on(spdlog::level::trace);
    return {};
  } catch (const spdlog::spdlog_ex& error) {
    return fail(ErrorKind::kUsage, "Cannot write to the log file {}: {}", path, error.what());
  }
}

void write(Level level, fmt::string_view format, fmt::format_args args) {
  if (!logger().should_log(to_spdlog(level))) {
    return;
  }
  if (level >= Level::kInfo) {
    const std::string beginning = beginning_of(format, args);
    Backstop& backstop = backstop_of(beginning);
    if (!backstop.limit.allow()) {
      if (!backstop.is_told.exchange(true)) {
        put(Level::kWarn,
            without_runner_commands(fmt::format("More than {} lines in a second begin as \"{}\": "
                                                "of those to come some are left out",
                                                Backstop::kBurst, beginning)));
      }
      return;
    }
    backstop.is_told = false;
  }
  // A message may have a guest's words in it.
  put(level, without_runner_commands(fmt::vformat(format, args)));
}

bool RateLimit::Window::has_room(std::int64_t now, std::uint32_t most) {
  if (number.exchange(now) != now) {
    used = 0;
  }
  return used.fetch_add(1) < most;
}

bool RateLimit::allow(Clock::time_point now) {
  const auto time = now.time_since_epoch();
  return second_.has_room(std::chrono::floor<std::chrono::seconds>(time).count(), burst_) &&
         hour_.has_room(std::chrono::floor<std::chrono::hours>(time).count(),
                        burst_ * kBurstsInAnHour);
}

}  // namespace gpuvm::log
