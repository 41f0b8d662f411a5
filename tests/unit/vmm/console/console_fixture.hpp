// SPDX-License-Identifier: Apache-2.0
// A Console with a guest that counts what it takes, for tests of its places.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/asio.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/console/console.hpp"

namespace gpuvm::test {

/// What is there now, at most 64 KiB; nothing where a non-blocking descriptor has nothing.
inline std::string read_all(int fd) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  return count > 0 ? std::string(buffer.data(), static_cast<std::size_t>(count)) : std::string();
}

inline void write_text(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

inline SerialTarget stdio() {
  return {SerialTarget::Kind::kStdio};
}
inline SerialTarget pty() {
  return {SerialTarget::Kind::kPty};
}
inline SerialTarget file_at(const std::string& path) {
  return {SerialTarget::Kind::kFile, path};
}
inline SerialTarget socket_at(const std::string& path) {
  return {SerialTarget::Kind::kSocket, path};
}

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    reader = UniqueFd(fds[0]);
    writer = UniqueFd(fds[1]);
  }
  UniqueFd reader;
  UniqueFd writer;
};

/// The control thread is the test: what a Console posts runs in run_until() and run_ready().
struct ConsoleTest : testing::Test {
  ConsoleTest() {
    std::string pattern = testing::TempDir() + "gpuvm-console-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~ConsoleTest() override {
    console.reset();
    std::filesystem::remove_all(folder);
  }

  void open(std::vector<SerialTarget> serial) {
    options.serial = std::move(serial);
    ConsoleCallbacks callbacks;
    callbacks.input = [this](std::span<const std::byte> bytes) {
      const std::size_t count = std::min(bytes.size(), room);
      room -= count;
      for (const std::byte byte : bytes.first(count)) {
        typed += static_cast<char>(byte);
      }
      return count;
    };
    callbacks.escape = [this] { ++escapes; };
    callbacks.output_ready = [this] { ++output_ready; };
    callbacks.resized = [this](std::uint16_t columns, std::uint16_t rows) {
      sizes.emplace_back(columns, rows);
    };
    auto result = Console::create(control, options, std::move(callbacks));
    ASSERT_TRUE(result.has_value()) << result.error().to_string();
    console = std::move(result).value();
  }
  std::string error_of(std::vector<SerialTarget> serial) {
    options.serial = std::move(serial);
    auto result = Console::create(control, options, {});
    return result ? std::string() : result.error().to_string();
  }
  void print(std::string_view text) {
    console->write(std::as_bytes(std::span(text.data(), text.size())));
  }
  /// Runs the control thread's work until the condition holds, for at most some seconds.
  bool run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      control.restart();
      control.run_one_for(std::chrono::milliseconds(20));
    }
    return condition();
  }
  /// Runs what is ready now.
  void run_ready() {
    control.restart();
    control.poll();
  }
  std::string counter(std::string_view key) {
    InspectNode node;
    console->inspect(node);
    return std::string(node.child(console->places().at(0)).get(key));
  }
  UniqueFd connect(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  void use(const Pipe& input, const Pipe& output) {
    options.standard_input = input.reader.get();
    options.standard_output = output.writer.get();
  }

  std::string folder;
  boost::asio::io_context control;
  ConsoleOptions options;
  std::size_t room = 1 << 20;
  std::string typed;
  int escapes = 0;
  int output_ready = 0;
  std::vector<std::pair<unsigned, unsigned>> sizes;  ///< columns and rows, as they were told
  std::unique_ptr<Console> console;
};

}  // namespace gpuvm::test
