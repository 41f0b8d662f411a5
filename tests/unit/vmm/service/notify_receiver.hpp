// SPDX-License-Identifier: Apache-2.0
// NotifyReceiver: a service manager's end of the notify protocol, as far as tests need it.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::test {

class NotifyReceiver {
 public:
  /// An abstract name, or with `as_path` a path in the folder for temporary files.
  explicit NotifyReceiver(bool as_path = false)
      : address_(as_path ? testing::TempDir() + unique("notify-") : "@" + unique("gpuvm-notify-")) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address_.data(), address_.size());
    auto size = offsetof(sockaddr_un, sun_path) + address_.size() + (as_path ? 1U : 0U);
    if (!as_path) {
      name.sun_path[0] = '\0';
    }
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(
        ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(size)),
        0);
  }
  ~NotifyReceiver() {
    if (address_.front() == '/') {
      ::unlink(address_.c_str());
    }
  }
  NotifyReceiver(const NotifyReceiver&) = delete;
  NotifyReceiver& operator=(const NotifyReceiver&) = delete;

  const std::string& address() const { return address_; }
  /// The next notification; waits for it at most so long. "" when none comes.
  std::string next(std::chrono::milliseconds limit = std::chrono::milliseconds(0)) {
    pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, static_cast<int>(limit.count()));
    std::array<char, 65536> bytes{};
    const auto size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    return size < 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(size));
  }
  /// All that have come.
  std::vector<std::string> all() {
    std::vector<std::string> come;
    for (auto text = next(); !text.empty(); text = next()) {
      come.push_back(text);
    }
    return come;
  }

 private:
  static std::string unique(const std::string& prefix) {
    static int number = 0;
    return prefix + std::to_string(::getpid()) + "-" + std::to_string(++number);
  }

  std::string address_;
  UniqueFd fd_;
};

}  // namespace gpuvm::test
