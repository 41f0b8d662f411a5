// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/yielding_threads.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "tests/unit/vmm/machine/memory/raise_priority.hpp"

namespace gpuvm::yielding_threads_test {
namespace {

/// A thread that takes part until it is told to go.
class Worker {
 public:
  explicit Worker(YieldingThreads& threads)
      : thread_([this, &threads] {
          threads.begin();
          number_ = ::gettid();
          begun_.set_value();
          go_.get_future().wait();
          threads.end();
        }) {
    begun_.get_future().wait();
  }
  ~Worker() {
    go_.set_value();
    thread_.join();
  }
  /// As the kernel has it: the C library remembers what it has set itself.
  int policy() const { return ::sched_getscheduler(number_); }

 private:
  pid_t number_ = -1;
  std::promise<void> begun_;
  std::promise<void> go_;
  std::thread thread_;
};

class YieldingThreadsTest : public testing::Test {
 protected:
  /// Without the right to raise a priority nothing is lowered.
  const int lowered_ = test::may_raise_priority() ? SCHED_IDLE : SCHED_OTHER;
  YieldingThreads threads_;
};

TEST_F(YieldingThreadsTest, AreIdleUntilSomebodyWaits) {
  Worker first(threads_);
  Worker second(threads_);
  EXPECT_EQ(first.policy(), lowered_);
  EXPECT_EQ(second.policy(), lowered_);
  threads_.hurry();
  EXPECT_EQ(first.policy(), SCHED_OTHER);
  EXPECT_EQ(second.policy(), SCHED_OTHER);
}

TEST_F(YieldingThreadsTest, WhoComesLaterHurriesToo) {
  threads_.hurry();
  Worker late(threads_);
  EXPECT_EQ(late.policy(), SCHED_OTHER);
}

TEST_F(YieldingThreadsTest, WhoHasLeftIsForgotten) {
  { Worker gone(threads_); }
  threads_.hurry();
  Worker late(threads_);
  EXPECT_EQ(late.policy(), SCHED_OTHER);
}

/// Nobody asks for a policy then that a vCPU's thread may not set.
TEST(YieldingThreadsOfAnIdleProcess, StayAsTheyAre) {
  std::thread([] {
    const sched_param none{};
    ASSERT_EQ(::sched_setscheduler(0, SCHED_IDLE, &none), 0);
    YieldingThreads threads;
    const Worker worker(threads);
    EXPECT_EQ(worker.policy(), SCHED_IDLE);
    threads.hurry();
    EXPECT_EQ(worker.policy(), SCHED_IDLE);
  }).join();
}

TEST_F(YieldingThreadsTest, TheCallerKeepsItsPriority) {
  EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
}

}  // namespace
}  // namespace gpuvm::yielding_threads_test
