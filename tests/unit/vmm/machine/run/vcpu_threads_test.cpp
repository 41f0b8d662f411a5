// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/vcpu_threads.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <new>

#include "tests/unit/vmm/machine/run/fake_vcpu.hpp"

namespace gpuvm::vcpu_threads_test {
namespace {

using test::FakeVcpu;
using testing::ElementsAre;

/// A register that counts writes, and can keep a vCPU in one.
class Device : public IoHandler {
 public:
  std::string_view name() const override { return "device"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kOk; }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override {
    MutexLock lock(mutex_);
    ++begun_;
    changed_.notify_all();
    while (is_slow_) {
      changed_.wait(lock);
    }
    ++ended_;
    return IoStatus::kOk;
  }
  void set_slow(bool is_slow) {
    const MutexLock lock(mutex_);
    is_slow_ = is_slow;
    changed_.notify_all();
  }
  void wait_for_more() {
    MutexLock lock(mutex_);
    const int before = begun_;
    while (begun_ < before + 1) {
      changed_.wait(lock);
    }
  }
  void wait_until_in() {
    MutexLock lock(mutex_);
    while (begun_ == ended_) {
      changed_.wait(lock);
    }
  }
  std::pair<int, int> counts() {
    const MutexLock lock(mutex_);
    return {begun_, ended_};
  }

 private:
  Mutex mutex_;
  Condition changed_;
  bool is_slow_ GPUVM_GUARDED_BY(mutex_) = false;
  int begun_ GPUVM_GUARDED_BY(mutex_) = 0;
  int ended_ GPUVM_GUARDED_BY(mutex_) = 0;
};

class Threads : public testing::Test {
 protected:
  Threads() { EXPECT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(0x1000), 4), &device_})); }
  static std::optional<VcpuEvent> write_device(PortBus&, MmioBus& mmio) {
    mmio.write(GuestAddress(0x1000), std::array<std::byte, 4>{});
    return std::nullopt;
  }

  PortBus ports_{"ports"};
  MmioBus mmio_{"mmio"};
  Device device_;
  Mutex mutex_;
  std::vector<std::string> told_;
  std::promise<void> was_told_;
  VcpuThreads threads_{ports_, mmio_, [this](VcpuEvent, const std::string& failure) {
                         {
                           const MutexLock lock(mutex_);
                           told_.push_back(failure);
                         }
                         was_told_.set_value();
                       }};
};

TEST_F(Threads, NothingOfTheGuestGoesOnWhileItIsPaused) {
  FakeVcpu busy(0, write_device);
  FakeVcpu halted(1);
  const std::array<VirtualCpu*, 2> all{&busy, &halted};
  ASSERT_TRUE(threads_.start(all));
  for (int i = 1; i <= 100; ++i) {
    device_.wait_for_more();
    threads_.pause();
    const auto before = device_.counts();
    EXPECT_EQ(before.first, before.second) << "an access is half done";
    EXPECT_EQ(device_.counts(), before);
    threads_.resume();
  }
  device_.wait_for_more();
  threads_.stop();
  EXPECT_EQ(busy.runs, 101);
  EXPECT_EQ(busy.pauses_told, 100);
}

TEST_F(Threads, AVcpuThatEndsItsRunByARegisterGetsNoFurther) {
  std::atomic<int> steps{0};
  std::promise<void> has_ended;
  FakeVcpu vcpu(0, [&](PortBus&, MmioBus&) -> std::optional<VcpuEvent> {
    if (++steps == 3) {
      threads_.hold();
      has_ended.set_value();
    }
    return std::nullopt;
  });
  FakeVcpu other(1);
  const std::array<VirtualCpu*, 2> all{&vcpu, &other};
  ASSERT_TRUE(threads_.start(all));
  has_ended.get_future().wait();
  threads_.pause();  // until both rest
  EXPECT_EQ(steps, 3);
  threads_.stop();
  EXPECT_EQ(steps, 3);
  threads_.hold();  // is nothing then
  ASSERT_TRUE(threads_.start(std::span(all).subspan(1)));
  threads_.stop();
}

TEST_F(Threads, APauseWaitsForTheRegisterThatAVcpuIsIn) {
  device_.set_slow(true);
  FakeVcpu vcpu(0, write_device);
  const std::array<VirtualCpu*, 1> all{&vcpu};
  ASSERT_TRUE(threads_.start(all));
  device_.wait_until_in();
  auto paused = std::async(std::launch::async, [this] { threads_.pause(); });
  EXPECT_EQ(paused.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  device_.set_slow(false);
  paused.wait();
  const auto counts = device_.counts();
  EXPECT_EQ(counts.first, counts.second);
  threads_.stop();
}

TEST_F(Threads, APausedGuestStops) {
  FakeVcpu vcpu(0, write_device);
  const std::array<VirtualCpu*, 1> all{&vcpu};
  ASSERT_TRUE(threads_.start(all));
  device_.wait_for_more();
  threads_.pause();
  threads_.stop();
  EXPECT_EQ(vcpu.runs, 1);
  EXPECT_EQ(vcpu.pauses_told, 0);
}

TEST_F(Threads, AVcpuThatHasEndedIsNotWaitedFor) {
  FakeVcpu ended(0, [](PortBus&, MmioBus&) { return std::optional(VcpuEvent::kShutdown); });
  FakeVcpu halted(1);
  const std::array<VirtualCpu*, 2> all{&ended, &halted};
  ASSERT_TRUE(threads_.start(all));
  was_told_.get_future().wait();
  threads_.pause();
  threads_.resume();
  threads_.pause();
  threads_.stop();
  EXPECT_EQ(ended.runs, 1);
  EXPECT_THAT(told_, ElementsAre("it failed"));
}

TEST_F(Threads, PausesAtOnceOneAfterTheOther) {
  FakeVcpu first(0, write_device);
  FakeVcpu second(1, write_device);
  const std::array<VirtualCpu*, 2> all{&first, &second};
  ASSERT_TRUE(threads_.start(all));
  for (int i = 0; i < 1000; ++i) {
    threads_.pause();
    threads_.resume();
  }
  device_.wait_for_more();  // it runs: no kick was left over
  threads_.stop();
}

TEST_F(Threads, AVcpuWhoseClockCannotBeToldFails) {
  FakeVcpu vcpu(0);
  vcpu.pause_status = fail(ErrorKind::kHost, "No clock");
  const std::array<VirtualCpu*, 1> all{&vcpu};
  ASSERT_TRUE(threads_.start(all));
  threads_.pause();
  threads_.resume();
  was_told_.get_future().wait();
  threads_.stop();
  EXPECT_THAT(told_, ElementsAre("No clock"));
}

// No memory is left: the process must end with its devices quiet, and not where it stands.
TEST_F(Threads, AnExceptionOfADeviceEndsTheGuestInOrder) {
  FakeVcpu vcpu(3, [](PortBus&, MmioBus&) -> std::optional<VcpuEvent> { throw std::bad_alloc(); });
  FakeVcpu other(4);
  const std::array<VirtualCpu*, 2> all{&vcpu, &other};
  ASSERT_TRUE(threads_.start(all));
  was_told_.get_future().wait();
  threads_.pause();  // counts those that are at work
  threads_.stop();
  EXPECT_THAT(told_, ElementsAre("vCPU 3: std::bad_alloc"));
}

}  // namespace
}  // namespace gpuvm::vcpu_threads_test
