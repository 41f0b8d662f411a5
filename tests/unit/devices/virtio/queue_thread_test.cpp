// SPDX-License-Identifier: Apache-2.0
// QueueThread: one thread from its making to its end, however often it is started and stopped.
#include "devices/virtio/queue_thread.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace gpuvm::queue_thread_test {
namespace {

class QueueThreadTest : public testing::Test {
 protected:
  QueueThread::Options options() {
    QueueThread::Options made;
    made.name = "queue";
    made.serve = [this](std::size_t event) {
      served_by_ = std::this_thread::get_id();
      ++served_;
      return event == 0;  // the second event ends it
    };
    made.looks_first = false;
    made.at_end = [this] { ++ends_; };
    return made;
  }
  void wait_for(const std::atomic<int>& number, int value) {
    while (number < value) {
      std::this_thread::yield();
    }
  }

  EventFd first_ = EventFd::create().value();
  EventFd second_ = EventFd::create().value();
  std::atomic<int> served_{0};
  std::atomic<int> ends_{0};
  std::thread::id served_by_;
};

TEST_F(QueueThreadTest, IsOneThreadThroughStartsAndStops) {
  const auto thread = QueueThread::create(options()).value();
  std::thread::id first_time;
  for (int turn = 1; turn <= 50; ++turn) {
    thread->start({first_.fd()});
    first_.signal();
    wait_for(served_, turn);
    thread->stop();
    EXPECT_EQ(ends_, turn);
    first_time = turn == 1 ? served_by_ : first_time;
    EXPECT_EQ(served_by_, first_time);
  }
  EXPECT_NE(first_time, std::this_thread::get_id());
}

TEST_F(QueueThreadTest, WhatIsStoppedServesNothing) {
  const auto thread = QueueThread::create(options()).value();
  first_.signal();
  thread->stop();  // is nothing
  EXPECT_EQ(served_, 0);
  thread->start({first_.fd()});
  wait_for(served_, 1);
  thread->ask_to_stop();
  EXPECT_TRUE(thread->stopping());
  thread->stop();
  EXPECT_FALSE(thread->stopping());
  first_.signal();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(served_, 1);
}

TEST_F(QueueThreadTest, AStopAtOnceIsAStop) {
  const auto thread = QueueThread::create(options()).value();
  for (int turn = 1; turn <= 200; ++turn) {
    thread->start({first_.fd()});
    thread->stop();
    EXPECT_EQ(ends_, turn);
  }
}

TEST_F(QueueThreadTest, OneThatEndsByItselfCanBeStartedAgain) {
  const auto thread = QueueThread::create(options()).value();
  thread->start({first_.fd(), second_.fd()});
  second_.signal();
  wait_for(ends_, 1);
  thread->stop();
  thread->start({first_.fd()});
  first_.signal();
  wait_for(served_, 2);
  thread->stop();
  EXPECT_EQ(ends_, 2);
}

TEST_F(QueueThreadTest, GoesWithoutHavingBeenStarted) {
  const auto thread = QueueThread::create(options());
  EXPECT_TRUE(thread);
}

TEST_F(QueueThreadTest, IsStoppedByItsEnd) {
  {
    const auto thread = QueueThread::create(options()).value();
    thread->start({first_.fd()});
  }
  EXPECT_EQ(ends_, 1);
}

}  // namespace
}  // namespace gpuvm::queue_thread_test
