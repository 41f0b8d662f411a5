// SPDX-License-Identifier: Apache-2.0
// [console]: where the guest's serial port and its virtio console lead.
#include <algorithm>

#include "vmm/config/foreign_names.hpp"
#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::string_view kTargetsRule =
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

bool has_target(const std::vector<SerialTarget>& targets, const SerialTarget& target) {
  return std::any_of(targets.begin(), targets.end(), [&target](const SerialTarget& other) {
    return other.kind == target.kind && is_same_path(other.path, target.path);
  });
}

Status add_target(const TableReader& table, std::string_view key, const std::string& text,
                  std::vector<SerialTarget>& targets) {
  const auto target = parse_target(text, table.directory());
  if (text == "off") {
    return table.wrong(key, "has \"off\" beside other places: it stands alone, as [\"off\"]");
  }
  const auto colon = text.find(':');
  if (!target) {
    // The words are the same for both.
    return table.must_be(key, kTargetsRule, '"' + printable(text) + '"',
                         value_advice("console.serial", std::string_view(text).substr(0, colon)));
  }
  if (colon != std::string::npos) {
    TRY(table.check_path(key, std::string_view(text).substr(colon + 1)));
  }
  if (target->kind == SerialTarget::Kind::kSocket) {
    TRY(check_socket_path(table, key, target->path));
  }
  if (has_target(targets, *target)) {
    return table.wrong(key, fmt::format("names \"{}\" twice", printable(text)));
  }
  targets.push_back(*target);
  return {};
}

Result<std::vector<SerialTarget>> read_targets(TableReader& table, std::string_view key,
                                               std::vector<SerialTarget> otherwise) {
  const auto names = TRY(table.optional_strings(key));
  if (!names) {
    return otherwise;
  }
  std::vector<SerialTarget> targets;
  if (names->size() == 1 && names->front() == "off") {
    return targets;
  }
  if (names->size() > kMostTargets) {
    return table.wrong(
        key, fmt::format("has {} entries; at most {} are possible", names->size(), kMostTargets));
  }
  for (const auto& name : *names) {
    TRY(add_target(table, key, name, targets));
  }
  return targets;
}

/// What is typed there can go to one of them only, and what is written would be mixed.
Status check_both(const TableReader& table, const ConsoleConfig& console) {
  for (const auto& target : console.virtio) {
    if (target.kind == SerialTarget::Kind::kPty || !has_target(console.serial, target)) {
      continue;
    }
    return table.wrong("virtio",
                       target.kind == SerialTarget::Kind::kStdio
                           ? std::string("names \"stdio\", where the serial port is: set "
                                         "console.serial to [\"off\"] or another place")
                           : fmt::format("names {}, where the serial port is: take another path",
                                         printable(target.path)));
  }
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
  console.serial = TRY(read_targets(table, "serial", console.serial));
  console.virtio = TRY(read_targets(table, "virtio", console.virtio));
  TRY(table.finish());
  TRY(check_both(table, console));
  return console;
}

}  // namespace gpuvm::config
