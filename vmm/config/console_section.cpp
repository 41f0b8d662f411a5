// SPDX-License-Identifier: Apache-2.0
// [console]: where the guest's serial port leads.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::string_view kSerialRule =
    "a list of \"stdio\", \"pty\", \"file:PATH\" and \"socket:PATH\", or [\"off\"]";
constexpr std::size_t kMostTargets = 8;

/// The target that text names; nothing when it is no such thing.
std::optional<SerialTarget> parse_target(std::string_view text, const std::string& directory) {
  using Kind = SerialTarget::Kind;
  if (text == "stdio") {
    return SerialTarget{Kind::kStdio, {}};
  }
  if (text == "pty") {
    return SerialTarget{Kind::kPty, {}};
  }
  constexpr std::string_view kFile = "file:";
  if (text.starts_with(kFile) && text.size() > kFile.size()) {
    return SerialTarget{Kind::kFile, resolve_path(directory, text.substr(kFile.size()))};
  }
  constexpr std::string_view kSocket = "socket:";
  if (text.starts_with(kSocket) && text.size() > kSocket.size()) {
    return SerialTarget{Kind::kSocket, resolve_path(directory, text.substr(kSocket.size()))};
  }
  return std::nullopt;
}

Status add_target(const TableReader& table, const std::string& text,
                  std::vector<SerialTarget>& targets) {
  const auto target = parse_target(text, table.directory());
  if (!target) {
    return table.must_be("serial", kSerialRule, '"' + printable(text) + '"');
  }
  if (target->kind == SerialTarget::Kind::kSocket) {
    TRY(check_socket_path(table, "serial", target->path));
  }
  const auto is_same = [&target](const SerialTarget& other) {
    return other.kind == target->kind && is_same_path(other.path, target->path);
  };
  if (std::any_of(targets.begin(), targets.end(), is_same)) {
    return table.wrong("serial", fmt::format("names \"{}\" twice", printable(text)));
  }
  targets.push_back(*target);
  return {};
}

}  // namespace

Status check_socket_path(const TableReader& table, std::string_view key, std::string_view path) {
  constexpr std::size_t kLongest = 107;  // sun_path of unix(7), less its terminating NUL
  if (path.size() > kLongest) {
    return table.wrong(key, fmt::format("has a socket path of {} bytes; Linux takes at most {}",
                                        path.size(), kLongest));
  }
  return {};
}

Result<ConsoleConfig> read_console(TableReader table) {
  ConsoleConfig console;
  const auto names = TRY(table.optional_strings("serial"));
  TRY(table.finish());
  if (!names) {
    return console;
  }
  console.serial.clear();
  if (names->size() == 1 && names->front() == "off") {
    return console;
  }
  if (names->size() > kMostTargets) {
    return table.wrong("serial", fmt::format("has {} entries; at most {} are possible",
                                             names->size(), kMostTargets));
  }
  for (const auto& name : *names) {
    TRY(add_target(table, name, console.serial));
  }
  return console;
}

}  // namespace gpuvm::config
