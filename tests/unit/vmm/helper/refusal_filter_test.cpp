// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/refusal_filter.hpp"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "vmm/sandbox/filter.hpp"

namespace gpuvm::refusal_filter_test {
namespace {

constexpr std::uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;
constexpr ExecKey kKey{.first = 0x1122334455667788, .second = 0x99aabbccddeeff00};

/// What the kernel would answer: the instructions that these filters have.
std::uint32_t answer(const std::vector<sock_filter>& code, const seccomp_data& call) {
  std::uint32_t value = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const sock_filter& one = code[at];
    switch (one.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&value, reinterpret_cast<const char*>(&call) + one.k, sizeof value);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        value &= one.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += value == one.k ? one.jt : one.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += value >= one.k ? one.jt : one.jf;
        break;
      case BPF_RET | BPF_K:
        return one.k;
      default:
        ADD_FAILURE() << "instruction " << one.code;
        return 0;
    }
  }
  ADD_FAILURE() << "no answer";
  return 0;
}

seccomp_data call_of(long number, std::initializer_list<std::uint64_t> arguments = {}) {
  seccomp_data call{};
  call.nr = static_cast<int>(number);
  call.arch = AUDIT_ARCH_X86_64;
  std::copy(arguments.begin(), arguments.end(), call.args);
  return call;
}

TEST(RefusalFilterTest, WhatIsListedFailsAndTheRestDoesNot) {
  const auto code = refusal_filter(refused_calls(), std::nullopt);
  std::set<long> numbers;
  for (const auto& call : refused_calls()) {
    EXPECT_STRNE(call.reason, "");
    EXPECT_TRUE(numbers.insert(call.number).second) << call.name << " twice";
    EXPECT_EQ(answer(code, call_of(call.number)),
              SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(call.error))
        << call.name;
  }
  for (const long number : {SYS_read, SYS_openat, SYS_socket, SYS_unshare, SYS_mount, SYS_execve}) {
    EXPECT_EQ(answer(code, call_of(number)), SECCOMP_RET_ALLOW) << number;
  }
}

TEST(RefusalFilterTest, OtherArchitecturesAndX32) {
  const auto code = refusal_filter(refused_calls(), std::nullopt);
  auto call = call_of(SYS_read);
  call.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(answer(code, call), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(answer(code, call_of(0x40000000 + SYS_ptrace)), SECCOMP_RET_ERRNO | ENOSYS);
}

TEST(RefusalFilterTest, ExecutableMemory) {
  const auto code = refusal_filter(refused_calls(), std::nullopt);
  EXPECT_EQ(answer(code, call_of(SYS_mmap, {0, 4096, 7})), kRefused);
  EXPECT_EQ(answer(code, call_of(SYS_mmap, {0, 4096, 6})), kRefused);
  EXPECT_EQ(answer(code, call_of(SYS_mmap, {0, 4096, 5})), SECCOMP_RET_ALLOW);  // a library
  EXPECT_EQ(answer(code, call_of(SYS_mmap, {0, 4096, 3})), SECCOMP_RET_ALLOW);
  for (const long number : {SYS_mprotect, SYS_pkey_mprotect}) {
    EXPECT_EQ(answer(code, call_of(number, {0, 4096, 5})), kRefused);
    EXPECT_EQ(answer(code, call_of(number, {0, 4096, 1})), SECCOMP_RET_ALLOW);
  }
}

TEST(RefusalFilterTest, EachHalfOfTheKeyCounts) {
  const auto code = refusal_filter(refused_calls(), kKey);
  EXPECT_EQ(answer(code, call_of(SYS_execve, {1, 2, 3, kKey.first, kKey.second})),
            SECCOMP_RET_ALLOW);
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t wrong = std::uint64_t{1} << bit;
    EXPECT_EQ(answer(code, call_of(SYS_execve, {1, 2, 3, kKey.first ^ wrong, kKey.second})),
              kRefused);
    EXPECT_EQ(answer(code, call_of(SYS_execve, {1, 2, 3, kKey.first, kKey.second ^ wrong})),
              kRefused);
  }
  EXPECT_EQ(answer(code, call_of(SYS_execve, {1, 2, 3})), kRefused);
  EXPECT_EQ(answer(code, call_of(SYS_execveat, {1, 2, 3, kKey.first, kKey.second})), kRefused);
}

TEST(RefusalFilterTest, KeysDiffer) {
  const auto one = ExecKey::create();
  const auto other = ExecKey::create();
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->first, other->first);
  EXPECT_NE(one->second, other->second);
}

/// In a child, with the filter: 0 where /bin/true has run, else errno.
int run_true(bool has_key) {
  const sandbox::Filter filter(refusal_filter(refused_calls(), kKey));
  const pid_t child = ::fork();
  if (child == 0) {
    const std::array<const char*, 2> arguments = {"true", nullptr};
    if (filter.install() == 0) {
      ::syscall(SYS_execve, "/bin/true", arguments.data(), environ,
                has_key ? kKey.first : kKey.first + 1, kKey.second);
    }
    ::_exit(errno);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WEXITSTATUS(status);
}

// The kernel hands filters what stands in the registers of arguments that a call does not have.
TEST(RefusalFilterTest, TheKernelSeesTheKey) {
  EXPECT_EQ(run_true(true), 0);
  EXPECT_EQ(run_true(false), EPERM);
}

}  // namespace
}  // namespace gpuvm::refusal_filter_test
