// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/filter.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/sandbox/row_maker.hpp"

namespace gpuvm::sandbox::filter_test {
namespace {

/// What a child needs to say something and to end.
std::vector<Row> base() {
  return {call(SYS_write, "write", ""), call(SYS_exit_group, "exit_group", ""),
          call(SYS_close, "close", "")};
}

std::vector<Row> with(std::vector<Row> rows, const Row& row) {
  rows.push_back(row);
  return rows;
}

/// errno of a call in a child with the filter; 0: it worked.
template <class Attempt>
ChildEnd attempt(const std::vector<Row>& rows, Refusal refusal, const Attempt& attempt) {
  auto filter = Filter::create(rows, refusal);
  EXPECT_TRUE(filter) << (filter ? "" : filter.error().to_string());
  return in_child([&](int fd) {
    if (filter->install() != 0) {
      say(fd, "not installed");
      return;
    }
    errno = 0;
    const long result = attempt();
    say(fd, result >= 0 ? "worked" : std::to_string(errno));
  });
}

long open_something() {
  return ::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

TEST(Filter, RefusesWhatIsNotListed) {
  EXPECT_EQ(attempt(base(), Refusal::kDenied, open_something).said, std::to_string(EPERM));
}

TEST(Filter, AllowsWhatIsListed) {
  EXPECT_EQ(
      attempt(with(base(), call(SYS_openat, "openat", "")), Refusal::kDenied, open_something).said,
      "worked");
}

TEST(Filter, KillsTheProcessOnWish) {
  const auto end = attempt(base(), Refusal::kKillProcess, open_something);
  EXPECT_TRUE(WIFSIGNALED(end.status));
  EXPECT_EQ(WTERMSIG(end.status), SIGSYS);
}

TEST(Filter, LooksAtArguments) {
  const auto rows =
      with(base(), where(call(SYS_mmap, "mmap without PROT_EXEC", ""), 2, 0, PROT_EXEC));
  const auto map = [](int protection) {
    return [protection] {
      return ::syscall(SYS_mmap, 0, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    };
  };
  EXPECT_EQ(attempt(rows, Refusal::kDenied, map(PROT_READ | PROT_WRITE)).said, "worked");
  EXPECT_EQ(attempt(rows, Refusal::kDenied, map(PROT_READ | PROT_EXEC)).said,
            std::to_string(EPERM));
  EXPECT_EQ(attempt(rows, Refusal::kDenied, map(PROT_READ | PROT_WRITE | PROT_EXEC)).said,
            std::to_string(EPERM));
}

/// The kernel looks at 32 bits of an ioctl's request, and so must the filter.
TEST(Filter, BitsThatTheKernelDoesNotSeeChangeNothing) {
  const auto rows = with(base(), control_call(FIONREAD, "ioctl FIONREAD", ""));
  const auto ask = [](unsigned long request) {
    return [request] {
      int count = 0;
      return ::syscall(SYS_ioctl, 0, request, &count) < 0 && errno == EPERM ? -1 : 0;
    };
  };
  EXPECT_EQ(attempt(rows, Refusal::kDenied, ask(FIONREAD)).said, "worked");
  EXPECT_EQ(attempt(rows, Refusal::kDenied, ask(FIONREAD | 0x7'0000'0000UL)).said, "worked");
  EXPECT_EQ(attempt(rows, Refusal::kDenied, ask(FIONBIO)).said, std::to_string(EPERM));
}

TEST(Filter, RefusesQuietlyWithTheRowsError) {
  const auto rows = with(base(), refused(call(SYS_openat, "openat", ""), ENOENT));
  const auto end = attempt(rows, Refusal::kKillProcess, open_something);
  EXPECT_EQ(end.said, std::to_string(ENOENT));
}

/// As for a worker that opens files, beside a row of every role that refuses it.
TEST(Filter, WhatIsAllowedWithoutConditionIsAllowed) {
  const Row quiet = refused(where(call(SYS_openat, "openat", ""), 2, O_RDONLY), EACCES);
  const Row open = call(SYS_openat, "openat", "");
  EXPECT_EQ(attempt(with(with(base(), quiet), open), Refusal::kDenied, open_something).said,
            "worked");
  EXPECT_EQ(attempt(with(with(base(), open), quiet), Refusal::kDenied, open_something).said,
            "worked");
}

TEST(Filter, TheSameRowTwiceIsOneRow) {
  const Row row = call(SYS_openat, "openat", "");
  EXPECT_EQ(attempt(with(with(base(), row), row), Refusal::kDenied, open_something).said, "worked");
}

TEST(Filter, ARowThatCannotBeIsNamed) {
  const Row nonsense = where(call(SYS_openat, "nonsense", ""), 6, 0);  // there are six arguments
  const auto filter = Filter::create(with(base(), nonsense), Refusal::kDenied);
  ASSERT_FALSE(filter);
  EXPECT_THAT(filter.error().to_string(), testing::HasSubstr("nonsense"));
}

TEST(Filter, CallsOfX32EndTheProcess) {
  constexpr long kX32 = 0x40000000;
  const auto end =
      attempt(base(), Refusal::kDenied, [] { return ::syscall(kX32 | SYS_write, 1, "", 0); });
  EXPECT_FALSE(end.ended_well());
}

TEST(Filter, TheKernelHasWhatIsNeeded) {
  const auto status = check_seccomp();
  EXPECT_TRUE(status) << (status ? "" : status.error().to_string());
}

TEST(Row, MatchesByNumberAndConditions) {
  const Row row = where(call(SYS_mmap, "mmap", ""), 2, 0, PROT_EXEC);
  const std::array<std::uint64_t, 6> plain{0, 1, PROT_READ, 0, 0, 0};
  const std::array<std::uint64_t, 6> executable{0, 1, PROT_READ | PROT_EXEC, 0, 0, 0};
  EXPECT_TRUE(row.matches(SYS_mmap, plain));
  EXPECT_FALSE(row.matches(SYS_mmap, executable));
  EXPECT_FALSE(row.matches(SYS_munmap, plain));
}

}  // namespace
}  // namespace gpuvm::sandbox::filter_test
