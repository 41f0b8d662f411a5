// SPDX-License-Identifier: Apache-2.0
// The processes of a pool's guests: what they have of the pool's, and how their end is seen.
#include "vmm/pool/children.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace gpuvm::pool::children_test {
namespace {

constexpr int kPatienceMs = 20000;

sigset_t no_signals() {
  sigset_t set{};
  ::sigemptyset(&set);
  return set;
}

bool has_ended(const Child& child) {
  pollfd wait{.fd = child.process.get(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, kPatienceMs) == 1;
}

std::string read_all(const UniqueFd& fd) {
  std::string text;
  char byte = 0;
  while (::read(fd.get(), &byte, 1) == 1) {
    text += byte;
  }
  return text;
}

TEST(PoolChildren, EndWithTheirStatus) {
  const auto child = start_child({0, 1, 2}, no_signals(), [](UniqueFd) { return 7; });
  ASSERT_TRUE(child) << child.error().to_string();
  EXPECT_TRUE(has_ended(*child));
  EXPECT_EQ(reap(*child), "exit status 7");
}

TEST(PoolChildren, HaveALease) {
  const auto child = start_child({0, 1, 2}, no_signals(), [](UniqueFd lease) {
    return ::write(lease.get(), "ready\n", 6) == 6 ? 0 : 1;
  });
  ASSERT_TRUE(child);
  EXPECT_EQ(read_all(child->lease), "ready\n") << "and its end is seen";
  reap(*child);
}

// By which a guest of a pool that was killed ends.
TEST(PoolChildren, SeeThatNobodyHasTheLease) {
  auto child = start_child({0, 1, 2}, no_signals(), [](UniqueFd lease) {
    pollfd wait{.fd = lease.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    return ::poll(&wait, 1, kPatienceMs) == 1 && ::read(lease.get(), &byte, 1) == 0 ? 0 : 1;
  });
  ASSERT_TRUE(child);
  child->lease.reset();
  EXPECT_TRUE(has_ended(*child));
  EXPECT_EQ(reap(*child), "exit status 0");
}

// Another guest's lease, or the lock of the pool's name, would outlive the pool in a guest.
TEST(PoolChildren, HaveNothingElseOfThePool) {
  const UniqueFd secret(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd kept(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto first = start_child({0, 1, 2}, no_signals(), [](UniqueFd lease) {
    pollfd wait{.fd = lease.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, kPatienceMs);
  });
  ASSERT_TRUE(first);
  const auto child = start_child({0, 1, 2, kept.get()}, no_signals(), [&](UniqueFd lease) {
    const auto open = open_descriptors().value();
    const auto has = [&open](int fd) {
      return std::find(open.begin(), open.end(), fd) != open.end();
    };
    return (has(secret.get()) ? 1 : 0) | (has(kept.get()) ? 0 : 2) |
           (has(first->lease.get()) ? 4 : 0) | (has(lease.get()) ? 0 : 8) |
           (open.size() == 5 ? 0 : 16);
  });
  ASSERT_TRUE(child);
  EXPECT_TRUE(has_ended(*child));
  EXPECT_EQ(reap(*child), "exit status 0");
  ::kill(first->pid, SIGKILL);
  EXPECT_EQ(reap(*first), "signal 9");
}

TEST(PoolChildren, AreNoServicesAndReadNothing) {
  ::setenv("NOTIFY_SOCKET", "/run/x", 1);
  const auto child = start_child({0, 1, 2}, no_signals(), [](UniqueFd) {
    char byte = 0;
    return (::getenv("NOTIFY_SOCKET") != nullptr ? 1 : 0) | (::read(0, &byte, 1) == 0 ? 0 : 2) |
           (::getpgrp() == ::getpid() ? 0 : 4);
  });
  ::unsetenv("NOTIFY_SOCKET");
  ASSERT_TRUE(child);
  EXPECT_TRUE(has_ended(*child));
  EXPECT_EQ(reap(*child), "exit status 0");
}

TEST(PoolChildren, TakeSignalsThatThePoolHolds) {
  sigset_t set = no_signals();
  ::sigaddset(&set, SIGTERM);
  sigset_t before{};
  ::pthread_sigmask(SIG_BLOCK, &set, &before);
  const auto child = start_child({0, 1, 2}, set, [](UniqueFd lease) {
    pollfd wait{.fd = lease.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, kPatienceMs);
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child);
  ::kill(child->pid, SIGTERM);
  EXPECT_TRUE(has_ended(*child));
  EXPECT_EQ(reap(*child), "signal 15");
}

TEST(PoolChildren, AnExceptionIsAnEnd) {
  const auto child =
      start_child({0, 1, 2}, no_signals(), [](UniqueFd) -> int { throw std::runtime_error("no"); });
  ASSERT_TRUE(child);
  EXPECT_TRUE(has_ended(*child));
  EXPECT_EQ(reap(*child), "exit status 70");
}

}  // namespace
}  // namespace gpuvm::pool::children_test
