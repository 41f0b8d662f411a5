// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/said_word.hpp"

#include <charconv>
#include <system_error>

namespace gpuvm {
namespace {

constexpr std::string_view kBlank = " \t";
constexpr std::string_view kExitKey = "EXIT_STATUS=";
constexpr std::string_view kReadyKey = "READY=";
constexpr std::string_view kShutdownKey = "X_SYSTEMD_SHUTDOWN=";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Decimal digits and nothing else.
std::optional<std::uint32_t> read_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || rest != end) {
    return std::nullopt;
  }
  return value;
}

/// Takes `what` off the front, after blanks; false: it is not there.
bool skip(std::string_view& text, std::string_view what) {
  text = trim(text);
  if (!text.starts_with(what)) {
    return false;
  }
  text.remove_prefix(what.size());
  return true;
}

/// N of {"exit":N}.
std::optional<std::uint32_t> read_json(std::string_view line) {
  const bool begins = skip(line, "{") && skip(line, "\"exit\"") && skip(line, ":");
  if (!begins || !line.ends_with('}')) {
    return std::nullopt;
  }
  line.remove_suffix(1);
  return read_number(trim(line));
}

/// The next line, taken off the front.
std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

std::optional<SaidWord> read_line_word(std::string_view line) {
  line = trim(line);
  if (line == "READY" || line == "READY=1") {
    return SaidWord{};
  }
  auto status = read_number(line);
  if (!status) {
    status = read_json(line);
  }
  if (!status && line.starts_with(kExitKey)) {
    status = read_number(line.substr(kExitKey.size()));
  }
  return status ? std::optional(SaidWord{.status = status}) : std::nullopt;
}

std::vector<SaidWord> read_notification(std::string_view message) {
  std::vector<SaidWord> words;
  bool is_ready = false;
  std::optional<std::uint32_t> status;
  std::string_view shutdown = "exit";  // where it is not said: whoever speaks wished it
  while (!message.empty()) {
    const auto line = next_line(message);
    if (line.starts_with(kReadyKey) && line.substr(kReadyKey.size()) == "1") {
      is_ready = true;
    } else if (line.starts_with(kExitKey) && !status) {
      status = read_number(line.substr(kExitKey.size()));
    } else if (line.starts_with(kShutdownKey)) {
      shutdown = line.substr(kShutdownKey.size());
    }
  }
  if (is_ready) {
    words.push_back({});
  }
  if (status && (*status != 0 || shutdown == "exit")) {
    words.push_back({.status = status});
  }
  return words;
}

}  // namespace gpuvm
