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

constexpr std::array<std::string_view, 7> kFields = {
    "MESSAGE",    "PRIORITY",     "SYSLOG_IDENTIFIER", "MESSAGE_ID",
    "GPUVM_NAME", "GPUVM_DEVICE", "GPUVM_EVENT"};
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

}  // namespace

bool is_allowed_journal_entry(std::string_view entry) {
  if (entry.empty() || entry.size() > kMostEntry) {
    return false;
  }
  while (!entry.empty()) {
    const auto end = entry.find_first_of("=\n");
    if (end == std::string_view::npos ||
        std::find(kFields.begin(), kFields.end(), entry.substr(0, end)) == kFields.end()) {
      return false;
    }
    const bool is_line = entry[end] == '=';
    entry.remove_prefix(end + 1);
    const auto size = value_size(entry, is_line);
    if (!size || *size >= entry.size() || entry[*size] != '\n') {
      return false;
    }
    entry.remove_prefix(*size + 1);
  }
  return true;
}

Result<JournalRelay> JournalRelay::create(Send send, std::function<Clock::time_point()> now) {
  auto socket = TRY(MonitorSocket::create({.most = kMostEntry, .burst = kBurst, .every = kEvery},
                                          std::move(now)));
  return JournalRelay(std::move(send), std::move(socket));
}

void JournalRelay::pass_on(pid_t monitor) {
  socket_.hear(monitor, [this](std::string_view entry) {
    if (is_allowed_journal_entry(entry) && socket_.has_room()) {
      send_(entry);
    }
  });
}

}  // namespace gpuvm
