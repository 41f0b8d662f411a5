// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/job_events.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kLongestEvent = 65536;
constexpr std::size_t kMostFunctions = 1000;
constexpr std::uint64_t kHighestGuestStatusOfRun = 119;  ///< a higher one becomes this one

using Json = nlohmann::json;

std::string text_of(const Json& event, const char* key) {
  const auto found = event.find(key);
  return found != event.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// "0000:01:00.0, 0000:01:00.1" were reset.
void add_reset(const Json& event, JobEvents& events) {
  const std::string functions = text_of(event, "functions");
  const std::string what =
      fmt::format("{}: {}", text_of(event, "reason"), text_of(event, "verdict"));
  std::string name;
  for (const char c : functions + ',') {
    if (c != ',' && c != ' ') {
      name += c;
    } else if (!name.empty()) {
      if (events.last_resets.size() < kMostFunctions || events.last_resets.contains(name)) {
        events.last_resets[name] = what;
      }
      name.clear();
    }
  }
}

/// The first one ends the guest.
void add_word(const Json& event, JobEvents& events) {
  const auto status = event.find("status");
  if (!events.guest_status && text_of(event, "channel") == "exit_port" &&
      text_of(event, "word") == "exit" && status != event.end() && status->is_number_unsigned()) {
    events.guest_status =
        static_cast<int>(std::min(status->get<std::uint64_t>(), kHighestGuestStatusOfRun));
  }
}

void add_event(const Json& event, JobEvents& events) {
  if (!event.is_object()) {
    return;
  }
  const std::string kind = text_of(event, "event");
  if (kind == "state" && text_of(event, "to") == "running") {
    events.has_run = true;
  } else if (kind == "reset") {
    add_reset(event, events);
  } else if (kind == "word") {
    add_word(event, events);
  }
}

std::string text_at(int file, std::uint64_t begin, std::uint64_t size) {
  std::string text(size, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got =
        ::pread(file, text.data() + have, text.size() - have, static_cast<off_t>(begin + have));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

}  // namespace

std::vector<std::string> JobEvents::unsafe() const {
  std::vector<std::string> found;
  for (const auto& [function, reset] : last_resets) {
    const bool was_at_end = reset.starts_with("stop: ") || reset.starts_with("repair: ");
    if (!was_at_end || reset.ends_with(": failed")) {
      found.push_back(fmt::format("{} (last reset: {})", function, reset));
    }
  }
  return found;
}

JobEvents parse_job_events(std::string_view text) {
  JobEvents events;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.size() <= kLongestEvent) {
      add_event(Json::parse(line, nullptr, /*allow_exceptions=*/false), events);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return events;
}

JobEvents read_job_events(const std::string& file, std::uint64_t most) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return {};
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size <= most) {
    return parse_job_events(text_at(fd.get(), 0, size));
  }
  // Each part ends, or begins, within a line, which is no event then.
  JobEvents events = parse_job_events(text_at(fd.get(), 0, most / 2) + "\n" +
                                      text_at(fd.get(), size - most / 2, most / 2));
  events.is_cut = true;
  return events;
}

}  // namespace gpuvm
