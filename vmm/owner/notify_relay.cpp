// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/notify_relay.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

namespace gpuvm {
namespace {

constexpr std::size_t kMostNotification = 4096;
constexpr std::size_t kMostStatus = 512;
constexpr int kMostAtOnce = 16;
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

/// The sender as the kernel says; 0: it does not.
pid_t sender_of(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
        part->cmsg_len >= CMSG_LEN(sizeof(ucred))) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
      return sender.pid;
    }
  }
  return 0;
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
  std::array<int, 2> ends{-1, -1};
  const int on = 1;
  // Not for datagrams: by such a socket the monitor could send to any other of the host (unix(7)).
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket for notifications");
  }
  UniqueFd ours(ends[0]);
  UniqueFd monitors(ends[1]);
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot ask who sends notifications");
  }
  return NotifyRelay(std::move(send), std::move(now), std::move(ours), std::move(monitors));
}

std::string NotifyRelay::hand_to_monitor() {
  return fmt::format("fd:{}", monitor_end_.release());
}

/// Takes a token, if there is one.
bool NotifyRelay::has_room() {
  const auto now = now_();
  const auto due = (now - filled_) / kEvery;
  if (due >= kBurst) {
    tokens_ = kBurst;
    filled_ = now;
  } else if (due > 0) {
    tokens_ = std::min(kBurst, tokens_ + static_cast<unsigned>(due));
    filled_ += due * kEvery;
  }
  if (tokens_ == 0) {
    return false;
  }
  --tokens_;
  return true;
}

void NotifyRelay::pass_on(pid_t monitor) {
  for (int turn = 0; turn < kMostAtOnce; ++turn) {
    std::array<char, kMostNotification> bytes{};
    // No room for descriptors: the kernel closes those that come.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
      return;
    }
    if (got == 0) {  // it is closed, and would be readable for ever
      fd_.reset();
      return;
    }
    const bool is_cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (is_cut || sender_of(message) != monitor) {
      continue;
    }
    const auto allowed =
        allowed_notification(std::string_view(bytes.data(), static_cast<std::size_t>(got)));
    if (!allowed.empty() && has_room()) {
      send_(allowed);
    }
  }
}

}  // namespace gpuvm
