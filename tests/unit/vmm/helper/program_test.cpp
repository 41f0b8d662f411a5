// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/program.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "tests/unit/vmm/helper/script_folder.hpp"
#include "vmm/helper/listening_pair.hpp"

namespace gpuvm::program_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::chrono::milliseconds kLong{30000};

TEST(ProgramTest, NothingOfOursIsInherited) {
  const test::ScriptFolder folder;
  const UniqueFd handed_over(::dup2(STDERR_FILENO, 50));  // by a launcher: not close-on-exec
  const UniqueFd given(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const auto script = folder.script("ls -l /proc/$$/fd >" + folder.path() +
                                    "/files\ngrep -E 'CapEff|NoNewPrivs' /proc/self/status >" +
                                    folder.path() + "/status\n");
  const auto end = run_program(
      {.path = script, .arguments = {"it"}, .files = {given.get(), given.get()}}, kLong);
  ASSERT_TRUE(end) << end.error().to_string();
  EXPECT_TRUE(end->is_good()) << end->text;
  const auto files = folder.read("files");
  EXPECT_THAT(files, HasSubstr("0 -> /dev/null"));
  EXPECT_THAT(files, HasSubstr("3 -> /dev/zero"));
  EXPECT_THAT(files, HasSubstr("4 -> /dev/zero"));
  EXPECT_THAT(files, Not(HasSubstr("50 -> ")));
  EXPECT_THAT(files, Not(HasSubstr(" 5 -> ")));
  EXPECT_THAT(folder.read("status"), HasSubstr("NoNewPrivs:\t1"));
  // CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH at most.
  EXPECT_THAT(folder.read("status"), ::testing::ContainsRegex("CapEff:\t000000000000000[06]"));
}

// Whether it keeps privileges (virtiofsd) or not: it may have a guest's memory mapped.
TEST(ProgramTest, NoneMakesACoreDumpNotEvenIntoAPipe) {
  for (const bool keeps_privileges : {false, true}) {
    const test::ScriptFolder folder;
    const auto script =
        folder.script("grep 'Max core file size' /proc/self/limits >" + folder.path() + "/limit\n");
    const auto end = run_program(
        {.path = script, .arguments = {"it"}, .keeps_privileges = keeps_privileges}, kLong);
    ASSERT_TRUE(end) << end.error().to_string();
    EXPECT_THAT(folder.read("limit"), ::testing::ContainsRegex("size +1 +1 +bytes"));
  }
}

TEST(ProgramTest, AFolderItCannotWriteTo) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can have a mount namespace";
  }
  const test::ScriptFolder folder;
  const test::ScriptFolder fixed;
  const auto script =
      folder.script("echo a >" + folder.path() + "/said\ntouch " + fixed.path() + "/new\n");
  const auto end =
      run_program({.path = script, .arguments = {"it"}, .read_only_folder = fixed.path()}, kLong);
  ASSERT_TRUE(end) << end.error().to_string();
  EXPECT_FALSE(end->is_good());
  EXPECT_THAT(end->text, HasSubstr("Read-only file system"));
  EXPECT_EQ(folder.read("said"), "a\n") << "elsewhere it can";
  EXPECT_EQ(::access((fixed.path() + "/.").c_str(), W_OK), 0) << "and so can we";
  EXPECT_FALSE(
      run_program({.path = script, .arguments = {"it"}, .read_only_folder = "/nowhere"}, kLong));
}

// The write fails, and the program goes on: without the limit it would be a signal's.
TEST(ProgramTest, FilesHaveALimit) {
  const test::ScriptFolder folder;
  const auto script = folder.script("cd " + folder.path() +
                                    "\ndd if=/dev/zero of=file bs=1000 count=100 && exit 0\n"
                                    "echo went on >&2; exit 3\n");
  const auto end = run_program(
      {.path = script, .arguments = {"it"}, .file_limit = FileLimit{.now = 4096, .most = 1 << 20}},
      kLong);
  ASSERT_TRUE(end) << end.error().to_string();
  EXPECT_EQ(text_of_end(end->status), "exit status 3");
  EXPECT_THAT(end->text, HasSubstr("File too large"));
  EXPECT_THAT(end->text, HasSubstr("went on"));
  EXPECT_EQ(folder.read("file").size(), 4096U);
}

TEST(ProgramTest, GivenFilesMayHaveTheNumbersOfOthers) {
  const test::ScriptFolder folder;
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto script = folder.script("ls -l /proc/$$/fd >" + folder.path() + "/files\n");
  for (const bool swapped : {false, true}) {
    const auto files = swapped ? std::vector<int>{zero.get(), null.get()}
                               : std::vector<int>{null.get(), zero.get()};
    ASSERT_TRUE(run_program({.path = script, .arguments = {"it"}, .files = files}, kLong));
    EXPECT_THAT(folder.read("files"), HasSubstr(swapped ? "3 -> /dev/zero" : "3 -> /dev/null"));
    EXPECT_THAT(folder.read("files"), HasSubstr(swapped ? "4 -> /dev/null" : "4 -> /dev/zero"));
  }
}

TEST(ProgramTest, WhatItSaysAndHowItEnds) {
  const test::ScriptFolder folder;
  const auto end =
      run_program({.path = folder.script("echo one >&2\nprintf 'a \\033\\n' >&2\n"
                                         "echo 'Failed to send to syslog' >&2\nexit 3"),
                   .arguments = {"it"}},
                  kLong);
  ASSERT_TRUE(end);
  EXPECT_FALSE(end->is_good());
  EXPECT_EQ(text_of_end(end->status), "exit status 3");
  EXPECT_EQ(end->text, "one; a ?");
}

TEST(ProgramTest, OneThatTakesTooLongIsKilled) {
  const test::ScriptFolder folder;
  const auto end = run_program({.path = folder.script("exec sleep 1000"), .arguments = {"it"}},
                               std::chrono::milliseconds(50));
  ASSERT_TRUE(end);
  EXPECT_EQ(text_of_end(end->status), "signal 9");
}

TEST(ProgramTest, WhatIsNoProgram) {
  const test::ScriptFolder folder;
  EXPECT_EQ(find_program(folder.path() + "/none"), "");
  EXPECT_EQ(find_program("gpuvm-has-no-such-program"), "");
  EXPECT_EQ(find_program("sh").substr(0, 1), "/");
  const auto end = run_program({.path = folder.path() + "/none", .arguments = {"it"}}, kLong);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(end.error().to_string(), HasSubstr("No such file"));
}

TEST(ProgramTest, AListeningPairIsConnectedAndHasNoPath) {
  const auto pair = ListeningPair::create();
  ASSERT_TRUE(pair) << pair.error().to_string();
  const UniqueFd accepted(::accept(pair->listener.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  ASSERT_EQ(::send(pair->connected.get(), "x", 1, MSG_NOSIGNAL), 1);
  char got = 0;
  EXPECT_EQ(::recv(accepted.get(), &got, 1, 0), 1);
}

}  // namespace
}  // namespace gpuvm::program_test
