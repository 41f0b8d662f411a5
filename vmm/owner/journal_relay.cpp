// SPDX-License-Identifier: Apache-2.0
// Source: systemd, docs/JOURNAL_NATIVE_PROTOCOL.md.
#include "vmm/owner/journal_relay.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "vmm/base/journal.hpp"

namespace gpuvm {
namespace {

/// Whose values are the guest's affair.
constexpr std::array<std::string_view, 3> kFreeFields = {"MESSAGE", "GPUVM_DEVICE", "GPUVM_EVENT"};
/// syslog(3): LOG_ERR to LOG_DEBUG.
constexpr std::array<std::string_view, 5> kPriorities = {"3", "4", "5", "6", "7"};
/// A message, and the other fields, whose values are short.
constexpr std::size_t kMostEntry = kLongestJournalValue + 8192;
constexpr std::size_t kNumberBytes = 8;

/// How long the value at the begin of `rest` is, which is moved to it: a line, or bytes behind
/// their number. Nothing: it has no end.
std::optional<std::size_t> value_size(std::string_view& rest, bool is_line) {
  if (is_line) {
    return rest.find('\n');
  }
  if (rest.size() < kNumberBytes) {
    return std::nullopt;
  }
  std::uint64_t size = 0;
  for (std::size_t i = kNumberBytes; i-- > 0;) {
    size = size << 8 | static_cast<unsigned char>(rest[i]);
  }
  rest.remove_prefix(kNumberBytes);
  return static_cast<std::size_t>(size);
}

template <class Values>
bool contains(const Values& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool is_allowed_field(std::string_view name, std::string_view value, const JournalVoice& voice) {
  return contains(kFreeFields, name) || (name == "PRIORITY" && contains(kPriorities, value)) ||
         (name == "SYSLOG_IDENTIFIER" && value == "gpuvm") ||
         (name == "GPUVM_NAME" && value == voice.guest) ||
         (name == "MESSAGE_ID" && contains(voice.message_ids, value));
}

}  // namespace

bool is_allowed_journal_entry(std::string_view entry, const JournalVoice& voice) {
  if (entry.empty() || entry.size() > kMostEntry) {
    return false;
  }
  while (!entry.empty()) {
    const auto end = entry.find_first_of("=\n");
    if (end == std::string_view::npos) {
      return false;
    }
    const std::string_view name = entry.substr(0, end);
    const bool is_line = entry[end] == '=';
    entry.remove_prefix(end + 1);
    const auto size = value_size(entry, is_line);
    if (!size || *size >= entry.size() || entry[*size] != '\n' ||
        !is_allowed_field(name, entry.substr(0, *size), voice)) {
      return false;
    }
    entry.remove_prefix(*size + 1);
  }
  return true;
}

Result<JournalRelay> JournalRelay::create(Send send, JournalVoice voice,
                                          std::function<Clock::time_point()> now) {
  auto socket = TRY(MonitorSocket::create({.most = kMostEntry, .burst = kBurst, .every = kEvery},
                                          std::move(now)));
  return JournalRelay(std::move(send), std::move(voice), std::move(socket));
}

void JournalRelay::pass_on(pid_t monitor) {
  socket_.hear(monitor, [this](std::string_view entry) {
    if (is_allowed_journal_entry(entry, voice_) && socket_.has_room()) {
      send_(entry);
    }
  });
}

}  // namespace gpuvm
