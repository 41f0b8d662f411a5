// SPDX-License-Identifier: Apache-2.0
// FakeGuest: a control socket in a folder of its own at which a test's function answers, well or
// badly, one connection after the other.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::test {

/// A folder that goes with it.
class ScratchFolder {
 public:
  ScratchFolder() : path_(testing::TempDir() + "/gpuvm-api-XXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A connection at the guest's side.
class FakeConnection {
 public:
  FakeConnection(UniqueFd fd, int stop) : fd_(std::move(fd)), stop_(stop) {}

  /// Up to the empty line; less, where the client leaves or the test ends.
  std::string read_request() {
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos && wait(POLLIN)) {
      char piece[4096];
      const ssize_t got = ::recv(fd_.get(), piece, sizeof piece, 0);
      if (got <= 0) {
        break;
      }
      text.append(piece, static_cast<std::size_t>(got));
    }
    return text;
  }
  /// False: the client has left, or the test ends.
  bool write(std::string_view text) {
    while (!text.empty() && wait(POLLOUT)) {
      const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) {
        return false;
      }
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return text.empty();
  }
  void pause(std::chrono::milliseconds time) {
    pollfd waiting{.fd = stop_, .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, static_cast<int>(time.count()));
  }
  /// Until the test ends, or the client leaves.
  void hang() { wait(0); }
  int fd() const { return fd_.get(); }

 private:
  bool wait(short events) {
    pollfd waiting[2] = {{.fd = fd_.get(), .events = events, .revents = 0},
                         {.fd = stop_, .events = POLLIN, .revents = 0}};
    return ::poll(waiting, 2, -1) > 0 && waiting[1].revents == 0;
  }

  UniqueFd fd_;
  int stop_;
};

class FakeGuest {
 public:
  using Handler = std::function<void(FakeConnection&)>;

  FakeGuest(const std::string& path, Handler handler)
      : claim_(GuestSocketClaim::take(path)),
        stop_(::eventfd(0, EFD_CLOEXEC)),
        handler_(std::move(handler)) {
    auto listening = claim_->listen();
    EXPECT_TRUE(listening);
    listening_ = std::move(listening).value();
    thread_ = std::thread([this] { serve(); });
  }
  /// Answers everything with this text.
  FakeGuest(const std::string& path, std::string text)
      : FakeGuest(path, [text = std::move(text)](FakeConnection& connection) {
          connection.read_request();
          connection.write(text);
        }) {}
  ~FakeGuest() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  FakeGuest(const FakeGuest&) = delete;
  FakeGuest& operator=(const FakeGuest&) = delete;

 private:
  void serve() {
    for (;;) {
      pollfd waiting[2] = {{.fd = listening_.get(), .events = POLLIN, .revents = 0},
                           {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
      if (::poll(waiting, 2, -1) < 0 || waiting[1].revents != 0) {
        return;
      }
      UniqueFd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd) {
        FakeConnection connection(std::move(fd), stop_.get());
        handler_(connection);
      }
    }
  }

  Result<GuestSocketClaim> claim_;
  UniqueFd stop_;
  UniqueFd listening_;
  Handler handler_;
  std::thread thread_;
};

}  // namespace gpuvm::test
