// SPDX-License-Identifier: Apache-2.0
// Console: standard input and output, as pipes, files and a terminal; slow readers; a guest that
// takes nothing. Other places: console_places_test.cpp.
#include "vmm/console/console.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "tests/unit/vmm/console/console_fixture.hpp"

namespace gpuvm::console_test {
namespace {

using namespace std::chrono_literals;
using test::ConsoleTest;
using test::file_at;
using test::Pipe;
using test::read_all;
using test::socket_at;
using test::stdio;
using test::write_text;

TEST_F(ConsoleTest, PlacesThatCannotBeOpenedAreNamed) {
  EXPECT_NE(error_of({file_at("/nonexistent/folder/x")}).find("/nonexistent/folder/x"),
            std::string::npos);
  EXPECT_NE(error_of({socket_at("/" + std::string(200, 'x'))}), "");
  EXPECT_NE(error_of({file_at("")}), "");
}

TEST_F(ConsoleTest, WithoutAPlaceOutputIsSwallowed) {
  open({});
  print("x");
  console->resume_input();
  EXPECT_TRUE(console->places().empty());
}

TEST_F(ConsoleTest, PipedStdioWritesAtOnceAndReads) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({stdio()});
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
  open({stdio()});
  EXPECT_EQ(::fcntl(input.reader.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(output.writer.get(), F_GETFL) & O_NONBLOCK, 0);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  options.standard_input = options.standard_output = ours.get();
  open({stdio()});
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
  open({stdio()});
  EXPECT_TRUE(run_until([&] { return typed == "from"; }));
  room = 100;
  console->resume_input();
  EXPECT_TRUE(run_until([&] { return typed == "from a file"; }));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  options.standard_input = options.standard_output = null.get();
  open({stdio()});
  print("gone");
  run_ready();
}

TEST_F(ConsoleTest, SlowReaderGetsEverythingInOrder) {
  Pipe input;
  Pipe output;
  use(input, output);
  open({stdio()});
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
  open({stdio()});
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
  open({stdio()});
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
  open({stdio()});
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
  open({stdio()});
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
  open({stdio()});
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
  open({stdio()});
  EXPECT_EQ(local_modes() & (ICANON | ECHO | ISIG), 0u);
  console.reset();
  EXPECT_EQ(local_modes(), before);
}

TEST_F(TerminalTest, RestoredWhenALaterPlaceFails) {
  const tcflag_t before = local_modes();
  EXPECT_NE(error_of({stdio(), file_at("/nonexistent/x")}), "");
  EXPECT_EQ(local_modes(), before);
}

TEST_F(TerminalTest, KeysReachTheGuestAndTheEscapeKeyDoesNot) {
  open({stdio()});
  write_text(user.get(), "\x03ls\r\x1dmore");
  EXPECT_TRUE(run_until([&] { return escapes == 1; }));
  EXPECT_EQ(typed, "\x03ls\r") << "Ctrl-C is the guest's";
}

TEST_F(TerminalTest, EscapeWorksWhileTheGuestTakesNothing) {
  room = 0;
  open({stdio()});
  for (int i = 0; i < 8; ++i) {
    write_text(user.get(), std::string(1000, 'x'));
    run_ready();
  }
  write_text(user.get(), "\x1d");
  EXPECT_TRUE(run_until([&] { return escapes == 1; }));
  EXPECT_EQ(typed, "");
}

}  // namespace
}  // namespace gpuvm::console_test
