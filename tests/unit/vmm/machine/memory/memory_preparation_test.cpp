// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/memory_preparation.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/base/units.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::memory_preparation_test {
namespace {

using testing::ElementsAre;

int policy_of(pthread_t thread) {
  int policy = -1;
  sched_param parameters{};
  ::pthread_getschedparam(thread, &policy, &parameters);
  return policy;
}

/// Maps in three calls, the first of which lasts until the test lets it end.
class Preparation : public testing::Test {
 protected:
  void start() {
    preparation_.emplace(MemoryPreparation::Options{
        .memory = memory_,
        .map = [this](const std::function<bool()>& is_unwanted) { return map(is_unwanted); },
        .on_failure = [this](const Error& error) { failures_.push_back(error.to_string()); }});
    ASSERT_TRUE(preparation_->start());
  }
  Status map(const std::function<bool()>& is_unwanted) {
    for (int i = 0; i < 3; ++i) {
      if (is_unwanted()) {
        return fail(ErrorKind::kCancelled, "Not wanted");
      }
      ++calls_;
      if (i == 0) {
        in_call_.set_value();
        go_on_.get_future().wait();
      }
      TRY(outcome_);
    }
    return {};
  }
  static GuestMemory make_memory() {
    GuestMemoryOptions options;
    options.size = 4_MiB;
    return GuestMemory::create(options).value();
  }

  GuestMemory memory_ = make_memory();
  std::promise<void> in_call_;
  std::promise<void> go_on_;
  std::atomic<int> calls_{0};
  Status outcome_;
  std::vector<std::string> failures_;
  std::optional<MemoryPreparation> preparation_;
};

TEST_F(Preparation, WhoWaitsIsToldWhenAllIsMapped) {
  start();
  auto waiting = std::async(std::launch::async, [this] { return preparation_->wait(); });
  in_call_.get_future().wait();
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  go_on_.set_value();
  EXPECT_TRUE(waiting.get());
  EXPECT_TRUE(preparation_->wait());
  EXPECT_EQ(calls_, 3);
  preparation_->break_off();  // comes too late
  EXPECT_TRUE(preparation_->wait());
}

// A vCPU waits here for its bus mastering: a stop that joins it must not wait for all memory.
TEST_F(Preparation, BreakingOffLetsGoWhoWaitsAtOnceAndEndsWithTheCallInProgress) {
  start();
  in_call_.get_future().wait();
  auto waiting = std::async(std::launch::async, [this] { return preparation_->wait(); });
  preparation_->break_off();
  EXPECT_FALSE(waiting.get());  // while the call is still in progress
  auto ended = std::async(std::launch::async, [this] { preparation_->wait_for_end(); });
  EXPECT_EQ(ended.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  go_on_.set_value();
  ended.wait();
  EXPECT_EQ(calls_, 1);
  EXPECT_FALSE(preparation_->wait());
  EXPECT_TRUE(failures_.empty());
}

TEST(PreparedBeforeStart, IsBySizeOrByChoice) {
  EXPECT_FALSE(is_prepared_before_start(16_GiB, PinMemory::kAuto));
  EXPECT_TRUE(is_prepared_before_start(16_GiB + 2_MiB, PinMemory::kAuto));
  EXPECT_TRUE(is_prepared_before_start(128_MiB, PinMemory::kBeforeStart));
  EXPECT_FALSE(is_prepared_before_start(1024_GiB, PinMemory::kBackground));
}

TEST_F(Preparation, AFailureIsToldOnceAndMemoryIsNotMapped) {
  outcome_ = fail(ErrorKind::kHost, "Too much");
  go_on_.set_value();
  start();
  EXPECT_FALSE(preparation_->wait());
  preparation_->wait_for_end();
  EXPECT_THAT(failures_, ElementsAre("Too much"));
}

/// Threads with a role have few rights, and the kernel lets nobody make a thread hurry that has
/// more of them.
TEST(PreparationInASandbox, AVcpuThatWaitsMakesItHurry) {
  if (::geteuid() != 0 || sandbox::kHasThreadSanitizer) {
    GTEST_SKIP() << "only root has rights to lose";
  }
  const auto end = sandbox::in_child([](int fd) {
    sandbox::Policy policy;
    policy.mode = sandbox::Mode::kOn;
    if (!sandbox::prepare(policy)) {
      return;
    }
    GuestMemory memory = GuestMemory::create({.size = 4_MiB}).value();
    std::promise<pthread_t> mapping;
    std::promise<void> go_on;
    MemoryPreparation preparation({.memory = memory,
                                   .map =
                                       [&](const std::function<bool()>&) {
                                         mapping.set_value(::pthread_self());
                                         go_on.get_future().wait();
                                         return Status();
                                       },
                                   .on_failure = [](const Error&) {}});
    if (!preparation.start()) {
      return;
    }
    const pthread_t thread = mapping.get_future().get();
    const int before = policy_of(thread);
    std::thread waiting([&preparation] {
      sandbox::enter(sandbox::ThreadRole::kVcpu);
      preparation.wait();
    });
    int now = before;
    for (int i = 0; i < 1000 && now == SCHED_IDLE; ++i) {
      ::usleep(10'000);
      now = policy_of(thread);
    }
    go_on.set_value();
    waiting.join();
    sandbox::say(fd, fmt::format("{} {}", before, now));
  });
  EXPECT_EQ(end.said, fmt::format("{} {}", SCHED_IDLE, SCHED_OTHER));
}

}  // namespace
}  // namespace gpuvm::memory_preparation_test
