// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/console.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "vmm/base/asio.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {
namespace {

using namespace std::chrono_literals;

std::string read_all(int fd) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  return count > 0 ? std::string(buffer.data(), static_cast<std::size_t>(count)) : std::string();
}

void write_text(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
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

struct ConsoleTest : testing::Test {
  ConsoleTest() {
    std::string pattern = testing::TempDir() + "gpuvm-console-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~ConsoleTest() override {
    console.reset();
    std::filesystem::remove_all(folder);
  }

  void open(std::vector<std::string> serial) {
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
    auto result = Console::create(control, options, std::move(callbacks));
    ASSERT_TRUE(result.has_value()) << result.error().to_string();
    console = std::move(result).value();
  }
  std::string error_of(std::vector<std::string> serial) {
    options.serial = std::move(serial);
    auto result = Console::create(control, options, {});
    return result ? std::string() : result.error().to_string();
  }
  void print(std::string_view text) {
    console->write(std::as_bytes(std::span(text.data(), text.size())));
  }
  /// Runs the control thread's work until the condition holds, for at most some seconds.
  bool run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      control.restart();
      control.run_one_for(20ms);
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
  std::unique_ptr<Console> console;
};

TEST_F(ConsoleTest, SpecificationErrorsNameTheCure) {
  EXPECT_NE(error_of({"sdtio"}).find("stdio, pty, file:PATH, socket:PATH or off"),
            std::string::npos);
  EXPECT_NE(error_of({"file:"}), "");
  EXPECT_NE(error_of({"socket:"}), "");
  EXPECT_NE(error_of({"off", "pty"}), "");
  EXPECT_NE(error_of({"stdio", "stdio"}).find("twice"), std::string::npos);
  EXPECT_NE(error_of({"file:/nonexistent/folder/x"}).find("/nonexistent/folder/x"),
            std::string::npos);
  EXPECT_NE(error_of({"socket:/" + std::string(200, 'x')}), "");
  EXPECT_EQ(error_of({"off"}), "");
  EXPECT_EQ(error_of({}), "");
}

TEST_F(ConsoleTest, OffSwallowsOutput) {
  open({"off"});
  print("x");
  console->resume_input();
  EXPECT_TRUE(console->places().empty());
}

TEST_F(ConsoleTest, PipedStdioWritesAtOnceAndReads) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({"stdio"});
  print("login: ");
  EXPECT_EQ(read_all(output.reader.get()), "login: ") << "no run of the control thread is needed";
  write_text(input.writer.get(), "root\x1d\n");
  EXPECT_TRUE(run_until([&] { return typed.size() == 6; }));
  EXPECT_EQ(typed, "root\x1d\n") << "no escape key in a pipe";
  EXPECT_EQ(escapes, 0);
  input.writer.reset();
  run_ready();
  print("still there");
  EXPECT_EQ(read_all(output.reader.get()), "still there");
}

TEST_F(ConsoleTest, InheritedDescriptorsKeepTheirMode) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({"stdio"});
  EXPECT_EQ(::fcntl(input.reader.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(output.writer.get(), F_GETFL) & O_NONBLOCK, 0);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  options.standard_input = options.standard_output = ours.get();
  open({"stdio"});
  run_ready();
  print("over a socket");
  EXPECT_EQ(read_all(theirs.get()), "over a socket");
  write_text(theirs.get(), "back");
  EXPECT_TRUE(run_until([&] { return typed == "back"; }));
  console.reset();
  EXPECT_EQ(::fcntl(ours.get(), F_GETFL) & O_NONBLOCK, 0) << "restored";
}

TEST_F(ConsoleTest, RegularFileAndNullAsInput) {
  const std::string path = folder + "/input";
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  write_text(file.get(), "from a file");
  ::lseek(file.get(), 0, SEEK_SET);
  Pipe output;
  options.standard_input = file.get();
  options.standard_output = output.writer.get();
  room = 4;
  open({"stdio"});
  EXPECT_TRUE(run_until([&] { return typed == "from"; }));
  room = 100;
  console->resume_input();
  EXPECT_TRUE(run_until([&] { return typed == "from a file"; }));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  options.standard_input = options.standard_output = null.get();
  open({"stdio"});
  print("gone");
  run_ready();
}

TEST_F(ConsoleTest, SlowReaderGetsEverythingInOrder) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({"stdio"});
  std::string sent;
  for (int i = 0; sent.size() < 300'000; ++i) {
    const std::string line = fmt::format("line {}\n", i);
    print(line);
    sent += line;
  }
  ::fcntl(output.reader.get(), F_SETFL, O_NONBLOCK);
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(output.reader.get());
    return got.size() >= sent.size();
  }));
  EXPECT_EQ(got, sent);
  EXPECT_EQ(counter("dropped"), "0");
}

TEST_F(ConsoleTest, VerySlowReaderLosesTheOldestAndItIsCounted) {
  Pipe input;
  Pipe output;
  use(input, output);
  options.output_buffer = 1000;
  open({"stdio"});
  const std::string block(1000, 'a');
  for (int i = 0; i < 200; ++i) {
    print(block);
  }
  print("the end");
  EXPECT_EQ(counter("waiting"), "1000");
  const auto written = std::stoul(counter("written"));
  EXPECT_EQ(std::stoul(counter("dropped")), 200'007 - 1000 - written);
  ::fcntl(output.reader.get(), F_SETFL, O_NONBLOCK);
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(output.reader.get());
    return got.ends_with("the end");
  }));
  EXPECT_EQ(got.size(), written + 1000);
}

TEST_F(ConsoleTest, SeveralThreadsPrintWhileTheControlThreadEmpties) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({"stdio"});
  ::fcntl(output.reader.get(), F_SETFL, O_NONBLOCK);
  constexpr std::size_t kLines = 20'000;
  std::vector<std::thread> printers;
  for (const char c : {'a', 'b'}) {
    printers.emplace_back([this, c] {
      const std::string line(9, c);
      for (std::size_t i = 0; i < kLines; ++i) {
        print(line + "\n");
        console->resume_input();
      }
    });
  }
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(output.reader.get());
    return got.size() == 2 * 10 * kLines;
  }));
  for (auto& printer : printers) {
    printer.join();
  }
  for (std::size_t at = 0; at < got.size(); at += 10) {
    const char c = got[at];
    ASSERT_EQ(got.substr(at, 10), std::string(9, c) + "\n");
  }
  EXPECT_EQ(std::count(got.begin(), got.end(), 'a'), std::ptrdiff_t{9 * kLines});
}

TEST_F(ConsoleTest, ReaderThatLeavesDoesNotEndUs) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({"stdio"});
  output.reader.reset();
  print("into the void");
  run_ready();
  print("again");
  EXPECT_EQ(counter("dropped"), "18");
  console->flush(10s);
}

TEST_F(ConsoleTest, FlushWritesWhatWaitsOrGivesUpInTime) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({"stdio"});
  print(std::string(100'000, 'x'));
  const auto before = std::chrono::steady_clock::now();
  console->flush(30ms);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
  EXPECT_NE(counter("waiting"), "0");
  EXPECT_EQ(read_all(output.reader.get()).size(), 65536u);
  console->flush(10s);
  EXPECT_EQ(counter("waiting"), "0");
  EXPECT_EQ(read_all(output.reader.get()).size(), 100'000u - 65536u);
}

TEST_F(ConsoleTest, InputStopsWhileTheGuestIsFull) {
  Pipe input;
  Pipe output;
  use(input, output);
  room = 3;
  open({"stdio"});
  write_text(input.writer.get(), "abcdef");
  EXPECT_TRUE(run_until([&] { return typed == "abc"; }));
  write_text(input.writer.get(), "ghi");
  run_ready();
  EXPECT_EQ(typed, "abc");
  room = 4;
  console->resume_input();
  EXPECT_TRUE(run_until([&] { return typed == "abcdefg"; }));
  room = 100;
  console->resume_input();
  EXPECT_TRUE(run_until([&] { return typed == "abcdefghi"; }));
}

struct TerminalTest : ConsoleTest {
  TerminalTest() {
    int master = -1;
    int slave = -1;
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    user = UniqueFd(master);
    terminal = UniqueFd(slave);
    options.standard_input = options.standard_output = terminal.get();
  }
  tcflag_t local_modes() const {
    termios mode{};
    EXPECT_EQ(::tcgetattr(terminal.get(), &mode), 0);
    return mode.c_lflag;
  }
  UniqueFd user;
  UniqueFd terminal;
};

TEST_F(TerminalTest, RawWhileOpenAndRestored) {
  const tcflag_t before = local_modes();
  ASSERT_NE(before & ICANON, 0u);
  open({"stdio"});
  EXPECT_EQ(local_modes() & (ICANON | ECHO | ISIG), 0u);
  console.reset();
  EXPECT_EQ(local_modes(), before);
}

TEST_F(TerminalTest, RestoredWhenALaterPlaceFails) {
  const tcflag_t before = local_modes();
  EXPECT_NE(error_of({"stdio", "file:/nonexistent/x"}), "");
  EXPECT_EQ(local_modes(), before);
}

TEST_F(TerminalTest, KeysReachTheGuestAndTheEscapeKeyDoesNot) {
  open({"stdio"});
  write_text(user.get(), "\x03ls\r\x1dmore");
  EXPECT_TRUE(run_until([&] { return escapes == 1; }));
  EXPECT_EQ(typed, "\x03ls\r") << "Ctrl-C is the guest's";
}

TEST_F(TerminalTest, EscapeWorksWhileTheGuestTakesNothing) {
  room = 0;
  open({"stdio"});
  for (int i = 0; i < 8; ++i) {
    write_text(user.get(), std::string(1000, 'x'));
    run_ready();
  }
  write_text(user.get(), "\x1d");
  EXPECT_TRUE(run_until([&] { return escapes == 1; }));
  EXPECT_EQ(typed, "");
}

TEST_F(ConsoleTest, PtyBothWays) {
  open({"pty"});
  const std::string path = console->places().at(0);
  EXPECT_TRUE(path.starts_with("/dev/pts/")) << path;
  print("early output\r\n");
  const UniqueFd client(::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(client);
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(client.get());
    return got.size() >= 14;
  }));
  EXPECT_EQ(got, "early output\r\n") << "unchanged: the pty is raw";
  write_text(client.get(), "a\x03\r");
  EXPECT_TRUE(run_until([&] { return typed == "a\x03\r"; }));
}

TEST_F(ConsoleTest, PtyWithoutReaderDoesNotDelayTheEnd) {
  open({"pty"});
  print(std::string(500'000, 'x'));
  const auto before = std::chrono::steady_clock::now();
  console->flush(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
}

TEST_F(ConsoleTest, FileIsEmptiedAndWritten) {
  const std::string path = folder + "/serial.log";
  {
    UniqueFd old(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    write_text(old.get(), "of the run before, and longer");
  }
  Pipe input;
  Pipe output;
  use(input, output);
  open({"file:" + path, "stdio"});
  print("boot\n");
  const UniqueFd log(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(read_all(log.get()), "boot\n");
  EXPECT_EQ(read_all(output.reader.get()), "boot\n") << "several at once";
}

TEST_F(ConsoleTest, SocketServesOneClientAfterTheOther) {
  const std::string path = folder + "/serial.sock";
  open({"socket:" + path});
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  print("before anybody came\n");
  auto first = connect(path);
  std::string got;
  EXPECT_TRUE(run_until([&] { return !(got += read_all(first.get())).empty(); }));
  EXPECT_EQ(got, "before anybody came\n");
  write_text(first.get(), "one");
  EXPECT_TRUE(run_until([&] { return typed == "one"; }));
  const auto second = connect(path);
  write_text(second.get(), "two");
  run_ready();
  EXPECT_EQ(typed, "one") << "the second waits";
  first.reset();
  EXPECT_TRUE(run_until([&] { return typed == "onetwo"; }));
  print("hello second");
  EXPECT_EQ(read_all(second.get()), "hello second");
  console.reset();
  EXPECT_NE(::stat(path.c_str(), &status), 0) << "removed";
}

TEST_F(ConsoleTest, SocketClientLostWhileWriting) {
  const std::string path = folder + "/serial.sock";
  open({"socket:" + path});
  auto first = connect(path);
  write_text(first.get(), "x");
  EXPECT_TRUE(run_until([&] { return typed == "x"; }));
  first.reset();
  print("nobody reads this yet");
  auto second = connect(path);
  std::string got;
  EXPECT_TRUE(run_until([&] { return !(got += read_all(second.get())).empty(); }));
  EXPECT_EQ(got, "nobody reads this yet");
  print(", now");
  run_ready();
  EXPECT_EQ(read_all(second.get()), ", now");
}

TEST_F(ConsoleTest, StaleSocketIsReplacedOthersAreNot) {
  const std::string path = folder + "/serial.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd old(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(old.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(old.get(), 1), 0);
  EXPECT_NE(error_of({"socket:" + path}).find("Another process"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(path));
  old.reset();
  open({"socket:" + path});
  console.reset();
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_NE(error_of({"socket:" + path}).find("no socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(path)) << "a user's file stays";
}

}  // namespace
}  // namespace gpuvm
