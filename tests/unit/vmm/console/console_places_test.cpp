// SPDX-License-Identifier: Apache-2.0
// Console: pseudo-terminals, files and sockets.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/vmm/console/console_fixture.hpp"

namespace gpuvm::console_places_test {
namespace {

using namespace std::chrono_literals;
using ConsolePlacesTest = test::ConsoleTest;
using test::file_at;
using test::Pipe;
using test::pty;
using test::read_all;
using test::socket_at;
using test::stdio;
using test::write_text;

TEST_F(ConsolePlacesTest, PtyBothWays) {
  open({pty()});
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

// Who can wait with his output loses none to a reader that is there and slow.
TEST_F(ConsolePlacesTest, OutputThatCanWaitIsNotForgotten) {
  options.output_buffer = 1000;
  const Pipe input;
  const Pipe output;
  ::fcntl(output.reader.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(output.writer.get(), F_SETPIPE_SZ, 4096);
  use(input, output);
  open({stdio()});
  const std::string text(600, 'x');
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  std::size_t taken = 0;
  std::size_t last = 0;
  while ((last = console->write_some(bytes)) > 0) {
    taken += last;
    ASSERT_LT(taken, std::size_t{1} << 20) << "a pipe that nobody reads fills up";
  }
  EXPECT_EQ(counter("dropped"), "0");
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(output.reader.get());
    return got.size() == taken && output_ready > 0;
  }));
  EXPECT_EQ(console->write_some(bytes), bytes.size());
}

// Where nobody reads, nobody is waited for: of a pty that is not known.
TEST_F(ConsolePlacesTest, APtyIsNotWaitedFor) {
  options.output_buffer = 1000;
  open({pty(), socket_at(folder + "/socket")});
  const std::string text(100'000, 'x');
  EXPECT_EQ(console->write_some(std::as_bytes(std::span(text.data(), text.size()))), text.size());
}

TEST_F(ConsolePlacesTest, TheSizeOfAPtyIsToldWhenItIsTypedOn) {
  open({pty()});
  const UniqueFd client(::open(console->places().at(0).c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(client);
  const winsize size{.ws_row = 43, .ws_col = 132, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::ioctl(client.get(), TIOCSWINSZ, &size), 0);
  write_text(client.get(), "a");
  EXPECT_TRUE(run_until([&] { return typed == "a"; }));
  using Sizes = std::vector<std::pair<unsigned, unsigned>>;
  EXPECT_EQ(sizes, (Sizes{{132, 43}}));
  write_text(client.get(), "b");
  EXPECT_TRUE(run_until([&] { return typed == "ab"; }));
  EXPECT_EQ(sizes.size(), 1U) << "only when it changes";
}

TEST_F(ConsolePlacesTest, PtyWithoutReaderDoesNotDelayTheEnd) {
  open({pty()});
  print(std::string(500'000, 'x'));
  const auto before = std::chrono::steady_clock::now();
  console->flush(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
}

TEST_F(ConsolePlacesTest, FileIsEmptiedAndWritten) {
  const std::string path = folder + "/serial.log";
  {
    UniqueFd old(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    write_text(old.get(), "of the run before, and longer");
  }
  Pipe input;
  Pipe output;
  use(input, output);
  open({file_at(path), stdio()});
  print("boot\n");
  const UniqueFd log(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(log.get());
    return got == "boot\n";
  })) << got;
  EXPECT_EQ(read_all(output.reader.get()), "boot\n") << "several at once";
}

// A guest prints as much as it likes, and the host's disk is not its own.
TEST_F(ConsolePlacesTest, AFileHasALimit) {
  const std::string path = folder + "/serial.log";
  options.most_of_file = 10'000;
  open({file_at(path)});
  testing::internal::CaptureStderr();
  for (unsigned i = 0; i < 1000; ++i) {
    print(std::string(1000, 'x'));
    run_ready();
  }
  console->flush(60s);
  console.reset();
  testing::internal::GetCapturedStderr();
  EXPECT_GE(std::filesystem::file_size(path), 10'000U);
  EXPECT_LT(std::filesystem::file_size(path), 10'200U);
}

// A FIFO is no file that could fill a disk: its reader takes what it likes.
TEST_F(ConsolePlacesTest, AFifoHasNone) {
  const std::string path = folder + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  options.most_of_file = 3;
  open({file_at(path)});
  print("more than three");
  EXPECT_EQ(read_all(reader.get()), "more than three");
}

// A client that this process has no descriptor for is not asked for again and again.
TEST_F(ConsolePlacesTest, AClientWithoutADescriptorWaits) {
  const std::string path = folder + "/serial.sock";
  open({socket_at(path)});
  const auto client = connect(path);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  control.restart();
  const auto turns = control.run_for(300ms);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_LT(turns, 20U);
  write_text(client.get(), "late");
  EXPECT_TRUE(run_until([&] { return typed == "late"; }));
}

TEST_F(ConsolePlacesTest, SocketServesOneClientAfterTheOther) {
  const std::string path = folder + "/serial.sock";
  open({socket_at(path)});
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

TEST_F(ConsolePlacesTest, SocketClientLostWhileWriting) {
  const std::string path = folder + "/serial.sock";
  open({socket_at(path)});
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

TEST_F(ConsolePlacesTest, StaleSocketIsReplacedOthersAreNot) {
  const std::string path = folder + "/serial.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd old(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(old.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(old.get(), 1), 0);
  EXPECT_NE(error_of({socket_at(path)}).find("Another process"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(path));
  old.reset();
  open({socket_at(path)});
  console.reset();
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_NE(error_of({socket_at(path)}).find("no socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(path)) << "a user's file stays";
}

TEST_F(ConsolePlacesTest, AFileThatIsALinkIsLeftAlone) {
  std::ofstream(folder + "/victim") << "precious";
  std::filesystem::create_symlink(folder + "/victim", folder + "/log");
  EXPECT_NE(error_of({{SerialTarget::Kind::kFile, folder + "/log"}}).find("is a symbolic link"),
            std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(folder + "/victim"), 8U);
}

}  // namespace
}  // namespace gpuvm::console_places_test
