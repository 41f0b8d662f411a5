// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/notify_relay.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>

namespace gpuvm {
namespace {

constexpr std::size_t kMostNotification = 4096;
constexpr std::size_t kMostStatus = 512;
constexpr std::uint64_t kLongestExtension = 60'000'000;  // us

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

bool is_allowed(std::string_view line) {
  constexpr std::string_view kStatus = "STATUS=";
  constexpr std::string_view kExtend = "EXTEND_TIMEOUT_USEC=";
  if (line == "READY=1" || line == "STOPPING=1" || line == "WATCHDOG=1") {
    return true;
  }
  if (line.starts_with(kStatus)) {
    return line.size() <= kStatus.size() + kMostStatus && is_printable(line);
  }
  if (!line.starts_with(kExtend)) {
    return false;
  }
  std::uint64_t time = 0;
  const char* const end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data() + kExtend.size(), end, time);
  return error == std::errc() && rest == end && time <= kLongestExtension;
}

}  // namespace

std::string allowed_notification(std::string_view notification) {
  std::string allowed;
  while (!notification.empty()) {
    const auto end = std::min(notification.find('\n'), notification.size());
    const std::string_view line = notification.substr(0, end);
    notification.remove_prefix(std::min(end + 1, notification.size()));
    if (is_allowed(line)) {
      allowed += fmt::format("{}{}", allowed.empty() ? "" : "\n", line);
    }
  }
  return allowed;
}

Result<NotifyRelay> NotifyRelay::create(Send send, std::function<Clock::time_point()> now) {
  auto socket = TRY(MonitorSocket::create(
      {.most = kMostNotification, .burst = kBurst, .every = kEvery}, std::move(now)));
  return NotifyRelay(std::move(send), std::move(socket));
}

std::string NotifyRelay::hand_to_monitor() {
  return fmt::format("fd:{}", socket_.take_monitor_end().release());
}

void NotifyRelay::pass_on(pid_t monitor) {
  socket_.hear(monitor, [this](std::string_view notification) {
    const auto allowed = allowed_notification(notification);
    if (!allowed.empty() && socket_.has_room()) {
      send_(allowed);
    }
  });
}

}  // namespace gpuvm
