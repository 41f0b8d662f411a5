// SPDX-License-Identifier: Apache-2.0
// ApiTest: a control socket in a folder of its own, served by a thread that is the control thread;
// the test is its clients.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "tests/unit/vmm/api/fake_control.hpp"
#include "vmm/api/api_server.hpp"

namespace gpuvm::test {

/// One connection to the socket. Reads wait for at most 5 s.
class ApiClient {
 public:
  explicit ApiClient(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    is_connected_ =
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  bool is_connected() const { return is_connected_; }
  int fd() const { return fd_.get(); }

  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  void end_input() { ::shutdown(fd_.get(), SHUT_WR); }
  void leave() { fd_.reset(); }

  /// Until what has come contains `what`, or nothing comes any more.
  const std::string& read_until(std::string_view what) {
    while (seen_.find(what) == std::string::npos && read_some()) {
    }
    return seen_;
  }
  /// Until the server closes.
  const std::string& read_all() {
    while (read_some()) {
    }
    return seen_;
  }
  void forget() { seen_.clear(); }
  /// True when the server has closed the connection.
  bool is_over() { return read_all(), is_over_; }

 private:
  bool read_some() {
    pollfd readable{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 5000) <= 0) {
      return false;
    }
    std::array<char, 65536> buffer;
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) {
      is_over_ = true;
      return false;
    }
    seen_.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
  }

  UniqueFd fd_;
  bool is_connected_ = false;
  bool is_over_ = false;
  std::string seen_;
};

class ApiTest : public testing::Test {
 protected:
  ~ApiTest() override {
    stop_server();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  static ApiServer::Options options() {
    ApiServer::Options made;
    made.guest.name = "main";
    made.guest.config_file = "main.toml";
    made.guest.cpus = 2;
    made.guest.memory = 1 << 30;
    return made;
  }
  void serve(ApiServer::Options made = options()) {
    auto claim = GuestSocketClaim::take(path());
    ASSERT_TRUE(claim) << claim.error().to_string();
    auto server = ApiServer::start(context_, control_, std::move(claim).value(), std::move(made));
    ASSERT_TRUE(server) << server.error().to_string();
    server_ = std::move(server).value();
    thread_ = std::thread([this] {
      const auto guard = boost::asio::make_work_guard(context_);
      context_.run();
    });
  }
  /// As the end of a run is.
  void stop_server() {
    context_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
    server_.reset();
  }
  std::string path() const { return folder_ + "/main.sock"; }
  void on_control(const std::function<void()>& action) {
    std::promise<void> done;
    boost::asio::post(context_, [&] {
      action();
      done.set_value();
    });
    done.get_future().wait();
  }
  std::size_t connections() {
    std::size_t count = 0;
    on_control([&] { count = server_->connections(); });
    return count;
  }
  bool comes_to(std::size_t count) {
    for (int i = 0; i < 500; ++i) {
      if (connections() == count) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  /// The whole answer of a connection that ends with it.
  std::string ask(std::string_view method, std::string_view target) {
    ApiClient client(path());
    client.send(
        fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target));
    return client.read_all();
  }
  static std::string body_of(const std::string& answer) {
    const auto at = answer.find("\r\n\r\n");
    return at == std::string::npos ? "" : answer.substr(at + 4);
  }
  static std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      ++count;
    }
    return count;
  }

  std::string folder_ = [] {
    std::string name = testing::TempDir() + "/gpuvm-api-XXXXXX";
    return std::string(::mkdtemp(name.data()));
  }();
  boost::asio::io_context context_{1};
  FakeControl control_{context_};
  std::unique_ptr<ApiServer> server_;
  std::thread thread_;
};

}  // namespace gpuvm::test
