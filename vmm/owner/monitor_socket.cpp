// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/monitor_socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace gpuvm {
namespace {

constexpr int kMostAtOnce = 16;

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

Result<MonitorSocket> MonitorSocket::create(const Limits& limits,
                                            std::function<Clock::time_point()> now) {
  std::array<int, 2> ends{-1, -1};
  const int on = 1;
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket between monitor and owner");
  }
  UniqueFd ours(ends[0]);
  UniqueFd monitors(ends[1]);
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot ask who sends by a socket");
  }
  return MonitorSocket(limits, std::move(now), std::move(ours), std::move(monitors));
}

/// Takes a token, if there is one.
bool MonitorSocket::has_room() {
  const auto now = now_();
  const auto due = (now - filled_) / limits_.every;
  if (due >= limits_.burst) {
    tokens_ = limits_.burst;
    filled_ = now;
  } else if (due > 0) {
    tokens_ = std::min(limits_.burst, tokens_ + static_cast<unsigned>(due));
    filled_ += due * limits_.every;
  }
  if (tokens_ == 0) {
    return false;
  }
  --tokens_;
  return true;
}

void MonitorSocket::hear(pid_t monitor, const std::function<void(std::string_view)>& each) {
  for (int turn = 0; turn < kMostAtOnce; ++turn) {
    // No room for descriptors: the kernel closes those that come.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    iovec part{.iov_base = bytes_.data(), .iov_len = bytes_.size()};
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
    if (!is_cut && sender_of(message) == monitor) {
      each(std::string_view(bytes_.data(), static_cast<std::size_t>(got)));
    }
  }
}

}  // namespace gpuvm
