// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/spawn.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::spawn_test {
namespace {

using ::testing::HasSubstr;

Result<int> run(const std::string& script, int input = -1, int output = -1) {
  const auto pid =
      spawn({.arguments = {"/bin/sh", "-c", script}, .input = input, .output = output});
  return pid ? await_end(*pid) : Result<int>(pid.error());
}

TEST(SpawnTest, HowItEnds) {
  EXPECT_EQ(*run("exit 0"), 0);
  EXPECT_EQ(*run("exit 41"), 41);
  EXPECT_EQ(*run("kill -TERM $$"), 128 + SIGTERM);
  const auto none = spawn({.arguments = {"/no/such/program"}});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().to_string(), HasSubstr("Cannot run /no/such/program"));
}

TEST(SpawnTest, InputAndOutput) {
  const std::string file = ::testing::TempDir() + "gpuvm-spawn-test";
  {
    const UniqueFd output(::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(*run("echo out; echo error >&2; wc -c", -1, output.get()), 0);
  }
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  EXPECT_EQ(text.str(), "out\nerror\n0\n");
  const UniqueFd input(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(*run("read line && [ \"$line\" = out ]", input.get()), 0);
  std::filesystem::remove(file);
}

TEST(SpawnTest, ItHasNoneOfOurDescriptorsAndNoSignalBlocked) {
  const int leaked = ::fcntl(STDERR_FILENO, F_DUPFD, 50);  // not close-on-exec
  EXPECT_EQ(*run("[ ! -e /proc/self/fd/" + std::to_string(leaked) + " ]"), 0);
  ::close(leaked);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const auto status = run("kill -TERM $$; exit 0");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(*status, 128 + SIGTERM);
}

TEST(SpawnTest, ASessionOfItsOwn) {
  const auto pid = spawn({.arguments = {"/bin/sleep", "100"}, .own_session = true});
  ASSERT_TRUE(pid);
  EXPECT_EQ(::getsid(*pid), *pid);
  ::kill(-*pid, SIGKILL);
  EXPECT_EQ(*await_end(*pid), 128 + SIGKILL);
}

TEST(SpawnTest, AProcessIsKnownByItsStart) {
  const auto pid = spawn({.arguments = {"/bin/sleep", "100"}});
  ASSERT_TRUE(pid);
  const ProcessIdentity process = identify(*pid);
  EXPECT_GT(process.start_time, 0U);
  EXPECT_TRUE(is_alive(process));
  EXPECT_FALSE(is_alive({.pid = *pid, .start_time = process.start_time + 1}));
  EXPECT_FALSE(is_alive({.pid = *pid, .start_time = 0}));
  EXPECT_TRUE(is_alive(identify(::getpid())));
  ::kill(*pid, SIGKILL);
  while (is_alive(process)) {  // until it is a zombie, which nobody has waited for
    ::usleep(1000);
  }
  EXPECT_EQ(identify(*pid).start_time, 0U);
  EXPECT_EQ(*await_end(*pid), 128 + SIGKILL);
  EXPECT_FALSE(is_alive(process));
}

}  // namespace
}  // namespace gpuvm::spawn_test
