// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/child_process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "tests/unit/vmm/helper/script_folder.hpp"

namespace gpuvm::child_process_test {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kLong{30};

struct Fixture {
  test::ScriptFolder folder;
  std::promise<std::string> ended;
  std::future<std::string> end = ended.get_future();

  Result<std::unique_ptr<ChildProcess>> start(const std::string& text,
                                              std::chrono::milliseconds patience = kLong) {
    return ChildProcess::start(
        {.program = {.path = folder.script(text), .arguments = {"server"}},
         .on_end = [this](const Error& error) { ended.set_value(error.to_string()); },
         .patience = patience});
  }
};

/// Waits for what another process writes; true once it is there.
bool await_end_of(pid_t process) {
  const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  pollfd gone{.fd = watched.get(), .events = POLLIN, .revents = 0};
  return !watched || ::poll(&gone, 1, 30000) == 1;
}

TEST(ChildProcessTest, AnEndOfItsOwnIsToldWithItsLastWords) {
  Fixture test;
  const auto child = test.start("echo 'the image is gone' >&2\nexit 1");
  ASSERT_TRUE(child) << child.error().to_string();
  ASSERT_EQ(test.end.wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(test.end.get(), "server has ended (exit status 1): the image is gone");
  const auto known = (*child)->wait_for_end(kLong);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->kind(), ErrorKind::kHost);
}

TEST(ChildProcessTest, AKilledOneIsNoticed) {
  Fixture test;
  const auto child = test.start("exec sleep 1000");
  ASSERT_TRUE(child);
  EXPECT_FALSE((*child)->wait_for_end(std::chrono::milliseconds(1)));
  ::kill((*child)->pid(), SIGKILL);
  ASSERT_EQ(test.end.wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(test.end.get(), "server has ended (signal 9)");
}

// Whoever looks at it from time to time may change what it may.
TEST(ChildProcessTest, ItIsLookedAtAndItsFilesAreLimited) {
  Fixture test;
  std::atomic<unsigned> looks{0};
  auto child = ChildProcess::start(
      {.program = {.path = test.folder.script("cd " + test.folder.path() +
                                              "\nuntil dd if=/dev/zero of=file bs=1000 count=100 "
                                              "2>/dev/null; do :; done\necho done >&2\n"),
                   .arguments = {"server"},
                   .file_limit = FileLimit{.now = 4096, .most = 1 << 20}},
       .on_end = [&test](const Error& error) { test.ended.set_value(error.to_string()); },
       .patience = kLong,
       .look_every = std::chrono::milliseconds(50),
       .look =
           [&looks](pid_t pid) {
             if (++looks == 4) {
               EXPECT_TRUE(limit_files(pid, {.now = 1 << 19, .most = 1 << 20}));
               EXPECT_TRUE(limit_files(pid, {.now = ~std::uint64_t{0}, .most = ~std::uint64_t{0}}));
             }
           }});
  ASSERT_TRUE(child) << child.error().to_string();
  ASSERT_EQ(test.end.wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(test.end.get(), "server has ended (exit status 0): done");
  EXPECT_GE(looks, 4U);
  EXPECT_EQ(test.folder.read("file").size(), 100'000U);
}

TEST(ChildProcessTest, AStopIsNoSuddenEnd) {
  Fixture test;
  auto child = test.start("trap 'echo cleaned >" + test.folder.path() +
                          "/left; exit 0' TERM\necho ready >&2\nwhile :; do sleep 0.01; done");
  ASSERT_TRUE(child);
  const pid_t pid = (*child)->pid();
  (*child)->stop();
  EXPECT_EQ(::kill(pid, 0), -1);  // reaped
  EXPECT_NE(test.end.wait_for(std::chrono::seconds(0)), std::future_status::ready);
}

TEST(ChildProcessTest, OneThatDoesNotEndIsKilled) {
  Fixture test;
  auto child =
      test.start("trap '' TERM\nwhile :; do sleep 0.01; done", std::chrono::milliseconds(100));
  ASSERT_TRUE(child);
  const pid_t pid = (*child)->pid();
  child->reset();
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ChildProcessTest, ALotOfOutputIsNoHindrance) {
  Fixture test;
  const auto child = test.start(
      "i=0; while [ $i -lt 3000 ]; do echo "
      "'a line that is long enough to fill the pipe after some hundreds of them' >&2; "
      "i=$((i+1)); done; echo last >&2; exit 2");
  ASSERT_TRUE(child);
  ASSERT_EQ(test.end.wait_for(kLong), std::future_status::ready);
  const auto text = test.end.get();
  EXPECT_THAT(text, HasSubstr("exit status 2"));
  EXPECT_THAT(text, ::testing::EndsWith("; last"));
  EXPECT_LT(text.size(), 4096U);
}

TEST(ChildProcessTest, WhatCannotRunIsAnError) {
  const auto child =
      ChildProcess::start({.program = {.path = "/nowhere/server", .arguments = {"server"}}});
  ASSERT_FALSE(child);
  EXPECT_THAT(child.error().to_string(), HasSubstr("Cannot run /nowhere/server"));
}

// A process that is killed cannot stop what it has started: the kernel does it.
TEST(ChildProcessTest, ItGoesWithAKilledParent) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const auto child =
        ChildProcess::start({.program = {.path = "/bin/sleep", .arguments = {"sleep", "1000"}}});
    const pid_t pid = child ? (*child)->pid() : -1;
    [[maybe_unused]] const auto told = ::write(theirs.get(), &pid, sizeof pid);
    ::pause();
    ::_exit(0);
  }
  theirs.reset();
  pid_t child = -1;
  ASSERT_EQ(::read(ours.get(), &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 0);
  EXPECT_EQ(::kill(child, 0), 0);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(await_end_of(child));
}

}  // namespace
}  // namespace gpuvm::child_process_test
