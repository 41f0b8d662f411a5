// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.hpp"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <string>

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

}  // namespace

void set_level(Level level) {
  logger().set_level(to_spdlog(level));
}

Status set_file(const std::string& path) {
  // First by hand: spdlog would make the folders of a mistyped path.
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!fd) {
    return fail_errno(ErrorKind::kUsage, "Cannot write to the log file " + path);
  }
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l: %v");
    logger().sinks().push_back(std::move(sink));
    logger().flush_on(spdlog::level::trace);
    return {};
  } catch (const spdlog::spdlog_ex& error) {
    return fail(ErrorKind::kUsage, "Cannot write to the log file {}: {}", path, error.what());
  }
}

void write(Level level, fmt::string_view format, fmt::format_args args) {
  const auto wanted = to_spdlog(level);
  if (logger().should_log(wanted)) {
    // A message may have a guest's words in it.
    logger().log(wanted, "{}", without_runner_commands(fmt::vformat(format, args)));
  }
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
