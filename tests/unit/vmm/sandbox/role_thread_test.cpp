// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/role_thread.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox::role_thread_test {
namespace {

TEST(RoleThread, DoesWhatItIsHandedOneAfterTheOther) {
  const auto here = std::this_thread::get_id();
  std::atomic<int> at_work{0};
  std::atomic<int> most{0};
  const auto thread = RoleThread::create("test", ThreadRole::kWorker, [&](void* done) {
    most = std::max(most.load(), ++at_work);
    EXPECT_NE(std::this_thread::get_id(), here);
    ++*static_cast<std::atomic<int>*>(done);
    --at_work;
  });
  ASSERT_TRUE(thread);
  std::atomic<int> done{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        (*thread)->run(&done);
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
  const auto thread = RoleThread::create("test", ThreadRole::kWorker, [](void* done) {
    if (done == nullptr) {
      throw std::bad_alloc();
    }
    ++*static_cast<int*>(done);
  });
  ASSERT_TRUE(thread);
  EXPECT_THROW((*thread)->run(nullptr), std::bad_alloc);
  int done = 0;
  (*thread)->run(&done);
  EXPECT_EQ(done, 1);
}

/// A thread with rights takes no code from one that a guest may have taken over.
TEST(RoleThread, IsHandedNoFunction) {
  static_assert(
      !std::is_invocable_v<decltype(&RoleThread::run), RoleThread&, std::function<void()>>);
  static_assert(std::is_invocable_v<decltype(&RoleThread::run), RoleThread&, void*>);
}

Policy worker_reads_etc() {
  Policy policy;
  policy.mode = Mode::kOn;
  policy.writes_line = false;
  policy.worker_paths = {{.path = "/etc", .access = PathAccess::kRead}};
  return policy;
}

/// A vCPU's thread has what it has no right to done by another, and gets no right by that.
TEST(RoleThread, HasTheRightsOfItsRole) {
  const auto end = in_child([](int fd) {
    if (!prepare(worker_reads_etc())) {
      return;
    }
    const auto worker = RoleThread::create("guest-reset", ThreadRole::kWorker, [](void* there) {
      *static_cast<long*>(there) = ::syscall(SYS_openat, -100, "/etc/passwd", 0);
    });
    std::thread([&] {
      enter(ThreadRole::kVcpu);
      long there = -1;
      (*worker)->run(&there);
      const long here = ::syscall(SYS_openat, -100, "/etc/passwd", 0);
      say(fd, fmt::format("{} {}", there >= 0, here >= 0));
    }).join();
  });
  EXPECT_EQ(end.said, "true false");
}

/// A card that comes while the guest runs has its threads from the worker, which has its role: a
/// thread that took it on once more would be told as one that made a forbidden call.
TEST(RoleThread, OneThatAThreadOfItsRoleMakesHasTheRoleFromThere) {
  if (kHasThreadSanitizer) {
    GTEST_SKIP() << "it makes calls of its own for a new thread";
  }
  const auto end = in_child([](int fd) {
    if (!prepare(worker_reads_etc())) {
      return;
    }
    std::thread([&] {
      enter(ThreadRole::kWorker);
      const auto late = RoleThread::create("late", ThreadRole::kWorker, [](void* opened) {
        *static_cast<long*>(opened) = ::syscall(SYS_openat, -100, "/etc/passwd", 0);
        ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
      });
      long opened = -1;
      (*late)->run(&opened);
      say(fd, fmt::format("{}", opened >= 0));
    }).join();
    for (const Violation& each : take_violations()) {
      say(fd, fmt::format("; {} {} {}", each.thread, to_string(each.role), each.call));
    }
  });
  EXPECT_EQ(end.said, "true; late worker socket");
}

}  // namespace
}  // namespace gpuvm::sandbox::role_thread_test
