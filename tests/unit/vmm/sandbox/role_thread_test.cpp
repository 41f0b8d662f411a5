// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/role_thread.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox::role_thread_test {
namespace {

TEST(RoleThread, DoesWhatItIsHandedOneAfterTheOther) {
  const auto thread = RoleThread::create("test", ThreadRole::kWorker);
  ASSERT_TRUE(thread);
  const auto here = std::this_thread::get_id();
  std::atomic<int> at_work{0};
  std::atomic<int> most{0};
  std::atomic<int> done{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        (*thread)->run([&] {
          most = std::max(most.load(), ++at_work);
          EXPECT_NE(std::this_thread::get_id(), here);
          ++done;
          --at_work;
        });
      }
    });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(done, 1600);
  EXPECT_EQ(most, 1);
}

TEST(RoleThread, WhatTheWorkThrowsIsItsCallers) {
  const auto thread = RoleThread::create("test", ThreadRole::kWorker);
  ASSERT_TRUE(thread);
  EXPECT_THROW((*thread)->run([] { throw std::bad_alloc(); }), std::bad_alloc);
  int done = 0;
  (*thread)->run([&done] { ++done; });
  EXPECT_EQ(done, 1);
}

TEST(RoleThread, WithoutOneTheCallerDoesItself) {
  const auto here = std::this_thread::get_id();
  run_on(nullptr, [&] { EXPECT_EQ(std::this_thread::get_id(), here); });
}

/// A vCPU's thread has what it has no right to done by another, and gets no right by that.
TEST(RoleThread, HasTheRightsOfItsRole) {
  const auto end = in_child([](int fd) {
    Policy policy;
    policy.mode = Mode::kOn;
    policy.writes_line = false;
    policy.worker_paths = {{.path = "/etc", .access = PathAccess::kRead}};
    if (!prepare(policy)) {
      return;
    }
    const auto worker = RoleThread::create("guest-reset", ThreadRole::kWorker);
    std::thread([&] {
      enter(ThreadRole::kVcpu);
      long there = -1;
      (*worker)->run([&there] { there = ::syscall(SYS_openat, -100, "/etc/passwd", 0); });
      const long here = ::syscall(SYS_openat, -100, "/etc/passwd", 0);
      say(fd, fmt::format("{} {}", there >= 0, here >= 0));
    }).join();
  });
  EXPECT_EQ(end.said, "true false");
}

}  // namespace
}  // namespace gpuvm::sandbox::role_thread_test
