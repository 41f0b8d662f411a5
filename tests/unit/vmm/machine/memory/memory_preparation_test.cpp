// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/memory_preparation.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "tests/unit/vmm/machine/memory/raise_priority.hpp"
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

/// Threads of this process that run only where nothing else does.
int idle_threads() {
  int count = 0;
  std::error_code ended;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ended)) {
    const auto number = static_cast<pid_t>(std::stol(task.path().filename().string()));
    count += ::sched_getscheduler(number) == SCHED_IDLE ? 1 : 0;
  }
  return count;
}

bool become_idle_threads(int wanted, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (idle_threads() != wanted && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return idle_threads() == wanted;
}

/// On the calling thread's processor, which has something else to do: idle threads get a few
/// thousandths of it, so that they have far more to do than the test waits.
void prepare_beside_work(GuestMemory& memory) {
  std::atomic<bool> is_over{false};
  std::thread work([&is_over] {
    while (!is_over) {
    }
  });
  {
    MemoryPreparation preparation(
        {.memory = memory,
         .map =
             [&memory](const MapIsUnwanted& is_unwanted) {
               return is_unwanted(memory.size()) ? fail(ErrorKind::kCancelled, "Not wanted")
                                                 : Status();
             },
         .on_failure = [](const Error& error) { ADD_FAILURE() << error.to_string(); }});
    EXPECT_TRUE(preparation.start());
    preparation.allow_mapping();
    EXPECT_TRUE(become_idle_threads(4, std::chrono::seconds(30)))
        << "who maps, who gives pages, and two helpers; there are " << idle_threads();
    auto waiting = std::async(std::launch::async, [&preparation] { return preparation.wait(); });
    EXPECT_TRUE(become_idle_threads(0, std::chrono::seconds(30)))
        << idle_threads() << " were not made to hurry";
    preparation.break_off();
    waiting.wait();
  }
  is_over = true;
  work.join();
}

TEST(PreparationOnABusyHost, EachOfItsThreadsHurriesWhenSomebodyWaits) {
  if (!test::may_raise_priority()) {
    GTEST_SKIP() << "without the right to raise a priority nothing is lowered";
  }
  std::thread([] {  // threads have the processors of who makes them
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    GuestMemory memory =
        GuestMemory::create({.size = 512_MiB, .low_limit = 4_MiB, .prefault_threads = 3}).value();
    prepare_beside_work(memory);
  })
      .join();
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
