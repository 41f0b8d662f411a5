// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/memory_preparation.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/vmm/machine/memory/raise_priority.hpp"
#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/units.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::memory_preparation_test {
namespace {

using testing::Each;
using testing::ElementsAre;

int policy_of(pthread_t thread) {
  int policy = -1;
  sched_param parameters{};
  ::pthread_getschedparam(thread, &policy, &parameters);
  return policy;
}

/// Its policy once it is not idle any more, for which it has 10 s.
int policy_after_idle(pthread_t thread) {
  int now = SCHED_IDLE;
  for (int i = 0; i < 1000 && now == SCHED_IDLE; ++i) {
    ::usleep(10'000);
    now = policy_of(thread);
  }
  return now;
}

/// Maps in three calls, the first of which lasts until the test lets it end.
class Preparation : public testing::Test {
 protected:
  void start() {
    begin();
    preparation_->allow_mapping();
  }
  /// The devices are still being reset.
  void begin() {
    preparation_.emplace(MemoryPreparation::Options{
        .memory = memory_,
        .map = [this](const MapIsUnwanted& is_unwanted) { return map(is_unwanted); },
        .on_failure = [this](const Error& error) { failures_.push_back(error.to_string()); }});
    ASSERT_TRUE(preparation_->start());
  }
  Status map(const MapIsUnwanted& is_unwanted) {
    for (int i = 0; i < 3; ++i) {
      if (is_unwanted(memory_.size() / 4 * static_cast<std::uint64_t>(i + 1))) {
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
  bool has_pages() const {
    struct stat info {};
    return ::fstat(memory_.fd(), &info) == 0 &&
           static_cast<std::uint64_t>(info.st_blocks) * 512 == memory_.size();
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

// A former owner's DMA may be under way until the devices were reset: pages yes, no map.
TEST_F(Preparation, PagesComeBeforeTheMapIsAllowed) {
  begin();
  while (!has_pages()) {  // the test's limit of time is the limit
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  auto waiting = std::async(std::launch::async, [this] { return preparation_->wait(); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  EXPECT_EQ(calls_, 0);
  go_on_.set_value();
  preparation_->allow_mapping();
  EXPECT_TRUE(waiting.get());
  EXPECT_EQ(calls_, 3);
}

// Where the reset failed nobody ever allows it.
TEST_F(Preparation, BreakingOffEndsTheWaitForTheReset) {
  begin();
  preparation_->break_off();
  EXPECT_FALSE(preparation_->wait());
  preparation_->wait_for_end();
  EXPECT_EQ(calls_, 0);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(Preparation, ItsEndBreaksItOff) {
  begin();
  preparation_.reset();
  EXPECT_EQ(calls_, 0);
  EXPECT_TRUE(failures_.empty());
}

// It would wait for ever for pages that nobody has.
TEST_F(Preparation, AMapBeyondTheMemoryIsNotWaitedFor) {
  preparation_.emplace(MemoryPreparation::Options{
      .memory = memory_,
      .map = [this](const MapIsUnwanted& is_unwanted) -> Status {
        const bool is_there = !is_unwanted(memory_.size());
        return is_there && !is_unwanted(memory_.size() + 1) ? Status()
                                                            : fail(ErrorKind::kHost, "No");
      },
      .on_failure = [this](const Error& error) { failures_.push_back(error.to_string()); }});
  ASSERT_TRUE(preparation_->start());
  preparation_->allow_mapping();
  EXPECT_FALSE(preparation_->wait());
  preparation_->wait_for_end();
  EXPECT_THAT(failures_, ElementsAre("No"));
}

TEST(PrefaultThreads, FollowSizeAndProcessors) {
  EXPECT_EQ(prefault_threads(2_MiB, 8), 1U);
  EXPECT_EQ(prefault_threads(512_MiB, 8), 4U);
  EXPECT_EQ(prefault_threads(128_GiB, 8), 8U);
  EXPECT_EQ(prefault_threads(1024_GiB, 48), 48U);
  EXPECT_EQ(prefault_threads(1024_GiB, 256), 128U);
  EXPECT_EQ(prefault_threads(1024_GiB, 0), 1U);
}

TEST(UsableCpus, AreThoseThatTheThreadMayRunOn) {
  const unsigned all = usable_cpus();
  unsigned of_one = 0;
  std::thread([&of_one] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &set);
    if (::sched_setaffinity(0, sizeof set, &set) == 0) {
      of_one = usable_cpus();
    }
  }).join();
  EXPECT_EQ(of_one, 1U);
  EXPECT_GE(all, 1U);
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

/// Where threads of a preparation stay until the test lets them go.
class Halt {
 public:
  /// Of such a thread.
  void stay() {
    MutexLock lock(mutex_);
    threads_.insert(::pthread_self());
    changed_.notify_all();
    while (!is_over_) {
      changed_.wait(lock);
    }
  }
  std::set<pthread_t> wait_for(std::size_t count) {
    MutexLock lock(mutex_);
    while (threads_.size() < count) {
      changed_.wait(lock);
    }
    return threads_;
  }
  void end() {
    const MutexLock lock(mutex_);
    is_over_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::set<pthread_t> threads_ GPUVM_GUARDED_BY(mutex_);
  bool is_over_ GPUVM_GUARDED_BY(mutex_) = false;
};

std::vector<int> policies_of(const std::set<pthread_t>& threads) {
  std::vector<int> policies;
  std::transform(threads.begin(), threads.end(), std::back_inserter(policies), policy_of);
  return policies;
}

// However busy the host is: none of them goes on, and so none ends, before it was looked at. (How
// long that may take is the test's limit of time.)
TEST(PreparationOnABusyHost, EachOfItsThreadsHurriesWhenSomebodyWaits) {
  if (!test::may_raise_priority()) {
    GTEST_SKIP() << "without the right to raise a priority nothing is lowered";
  }
  constexpr unsigned kGivers = 3;
  GuestMemory memory =
      GuestMemory::create({.size = 128_MiB, .low_limit = 4_MiB, .prefault_threads = kGivers})
          .value();
  Halt halt;
  MemoryPreparation preparation(
      {.memory = memory,
       .map = [&halt](const MapIsUnwanted&) -> Status {
         halt.stay();
         return {};
       },
       .on_failure = [](const Error& error) { ADD_FAILURE() << error.to_string(); },
       .on_pages = [&halt] { halt.stay(); }});
  ASSERT_TRUE(preparation.start());
  preparation.allow_mapping();
  const auto threads = halt.wait_for(kGivers + 1);
  EXPECT_THAT(policies_of(threads), ElementsAre(SCHED_IDLE, SCHED_IDLE, SCHED_IDLE, SCHED_IDLE))
      << "who maps, who gives pages, and two helpers";
  auto waiting = std::async(std::launch::async, [&preparation] { return preparation.wait(); });
  for (const pthread_t thread : threads) {
    while (policy_of(thread) == SCHED_IDLE) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  EXPECT_THAT(policies_of(threads), Each(::sched_getscheduler(0)));
  halt.end();
  EXPECT_TRUE(waiting.get());
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
                                       [&](const MapIsUnwanted&) {
                                         mapping.set_value(::pthread_self());
                                         go_on.get_future().wait();
                                         return Status();
                                       },
                                   .on_failure = [](const Error&) {}});
    if (!preparation.start()) {
      return;
    }
    preparation.allow_mapping();
    const pthread_t thread = mapping.get_future().get();
    const int before = policy_of(thread);
    std::thread waiting([&preparation] {
      sandbox::enter(sandbox::ThreadRole::kVcpu);
      preparation.wait();
    });
    const int now = policy_after_idle(thread);
    go_on.set_value();
    waiting.join();
    sandbox::say(fd, fmt::format("{} {}", before, now));
  });
  EXPECT_EQ(end.said, fmt::format("{} {}", SCHED_IDLE, SCHED_OTHER));
}

/// Its first card gives a guest its pages while that runs.
TEST(PagesForACard, AreGivenByAConfinedWorkerNearToTheirNode) {
  if (sandbox::kHasThreadSanitizer) {
    GTEST_SKIP() << "it makes calls of its own";
  }
  const auto end = sandbox::in_child([](int fd) {
    GuestMemory memory = GuestMemory::create({.size = 66_MiB, .prefault_threads = 3}).value();
    const std::array<unsigned, 1> cpus{static_cast<unsigned>(::sched_getcpu())};
    memory.set_node_cpus(0, cpus);
    if (!memory.place_on_node(memory.regions().front().range, 0, NodePolicy::kPrefer)) {
      sandbox::say(fd, "no NUMA");
      return;
    }
    sandbox::Policy policy;
    policy.mode = sandbox::Mode::kOn;
    policy.has_owner = true;
    policy.has_late_cards = true;
    if (!sandbox::prepare(policy)) {
      return;
    }
    std::thread([&] {
      sandbox::enter(sandbox::ThreadRole::kWorker);
      sandbox::say(fd, memory.prefault() ? "pages, " : "none, ");
    }).join();
    sandbox::say(fd, fmt::format("{} forbidden calls", sandbox::take_violations().size()));
  });
  if (end.said == "no NUMA") {
    GTEST_SKIP() << "this kernel knows no NUMA";
  }
  EXPECT_EQ(end.said, "pages, 0 forbidden calls");
}

}  // namespace
}  // namespace gpuvm::memory_preparation_test
