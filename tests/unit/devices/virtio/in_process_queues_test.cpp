// SPDX-License-Identifier: Apache-2.0
// InProcessQueues behind a transport: pauses, requests that are completed later and elsewhere.
// Section numbers are those of VIRTIO 1.2.
#include "devices/virtio/in_process_queues.hpp"

#include <gtest/gtest.h>

#include <future>
#include <new>
#include <thread>

#include "tests/unit/devices/virtio/copy_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::in_process_queues_test {
namespace {

using test::FunctionDriver;
using virtio::kDescriptorWrite;

/// Keeps its requests until the test answers them.
class KeepingDevice : public RequestDevice {
 public:
  std::string_view name() const override { return "keeping"; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t) override {}
  Result<Execution> execute(QueueRequest& request) override {
    const MutexLock lock(mutex_);
    kept_.push_back(&request);
    changed_.notify_all();
    return Execution::later();
  }
  void finish() override {
    const MutexLock lock(mutex_);
    finished_ = true;
    changed_.notify_all();
    if (!releases) {
      return;
    }
    for (; !kept_.empty(); kept_.pop_back()) {
      kept_.back()->release();
    }
  }
  void inspect(InspectNode&) const override {}

  bool releases = false;  ///< in finish(), as a network device does

  bool wait_kept(std::size_t count) {
    return wait([&] {
      mutex_.assert_held();
      return kept_.size() >= count;
    });
  }
  bool wait_finish() {
    return wait([&] {
      mutex_.assert_held();
      return finished_;
    });
  }
  std::size_t kept() {
    const MutexLock lock(mutex_);
    return kept_.size();
  }
  /// Answers the one at `index` of those that are kept.
  void answer(std::size_t index) {
    QueueRequest* request = nullptr;
    {
      const MutexLock lock(mutex_);
      request = kept_.at(index);
      kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index));
    }
    const std::array<std::byte, 4> data{std::byte{7}};
    request->complete(static_cast<std::uint32_t>(request->chain.writable.fill(data)));
  }

 private:
  template <class Predicate>
  bool wait(Predicate holds) {
    MutexLock lock(mutex_);
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(test::kPatienceMs);
    while (!holds()) {
      if (!changed_.wait_until(lock, end)) {
        return holds();
      }
    }
    return true;
  }
  const Identity identity_{.type = 1, .queues = 1, .queue_size = 64, .config_size = 8};
  DeviceConfig config_{8};
  Mutex mutex_;
  Condition changed_;
  std::vector<QueueRequest*> kept_ GPUVM_GUARDED_BY(mutex_);
  bool finished_ GPUVM_GUARDED_BY(mutex_) = false;
};

/// A function of `device` that its driver has brought up.
struct Running {
  explicit Running(RequestDevice& device)
      : function(VirtioPci::create(machine.options(device)).value()), driver(machine, *function) {
    driver.bring_up();
  }
  /// Makes chain `head` available: 4 bytes to read, 16 to write.
  void offer(std::uint16_t head) {
    driver.ring.chain(
        head, {{0x10000 + head * 16U, 4, 0, 0}, {0x20000 + head * 16U, 16, kDescriptorWrite, 0}});
    driver.ring.offer(head);
    driver.kick();
  }
  test::FakeMachine machine;
  std::unique_ptr<VirtioPci> function;
  FunctionDriver driver;
};

TEST(InProcessQueues, APauseWaitsForTheRequestInFlightAndLosesNothing) {
  test::CopyDevice device;
  Running guest(device);
  device.hold(true);
  guest.offer(0);
  ASSERT_TRUE(device.wait_entered(1));
  guest.offer(2);
  test::Sleeper pausing([&] {
    guest.function->pause();
    EXPECT_EQ(device.left(), 1U);
  });
  pausing.wait_asleep();
  EXPECT_EQ(device.left(), 0U);
  device.hold(false);
  pausing.join();
  EXPECT_EQ(guest.driver.ring.used_index(), 1);  // the second was not begun
  guest.offer(4);
  EXPECT_EQ(guest.driver.ring.used_index(), 1);
  guest.function->resume();
  ASSERT_TRUE(guest.driver.wait_used(3));
  EXPECT_EQ(guest.driver.ring.used(1).id, 2U);
  EXPECT_EQ(guest.driver.ring.used(2).id, 4U);
}

TEST(InProcessQueues, ManyPausesLoseNothing) {
  test::CopyDevice device;
  Running guest(device);
  std::thread control([&] {
    for (unsigned request = 1; request <= 500; ++request) {
      EXPECT_TRUE(device.wait_entered(request));
      guest.function->pause();
      guest.function->resume();
    }
  });
  for (std::uint16_t i = 0; i < 500; ++i) {
    guest.offer(static_cast<std::uint16_t>(i % 4 * 2));
    EXPECT_TRUE(guest.driver.wait_used(static_cast<std::uint16_t>(i + 1))) << i;
  }
  control.join();
  EXPECT_EQ(device.left(), 500U);
}

TEST(InProcessQueues, RequestsMayBeAnsweredLaterInAnyOrderAndFromAnyThread) {
  KeepingDevice device;
  Running guest(device);
  for (const unsigned head : {0U, 2U, 4U}) {
    guest.offer(static_cast<std::uint16_t>(head));
  }
  ASSERT_TRUE(device.wait_kept(3));
  EXPECT_EQ(guest.driver.ring.used_index(), 0);
  std::thread elsewhere([&] {
    device.answer(1);
    device.answer(1);
  });
  ASSERT_TRUE(guest.driver.wait_used(2));
  elsewhere.join();
  EXPECT_EQ(guest.driver.ring.used(0).id, 2U);
  EXPECT_EQ(guest.driver.ring.used(0).length, 4U);
  EXPECT_EQ(guest.driver.ring.used(1).id, 4U);
  device.answer(0);
  ASSERT_TRUE(guest.driver.wait_used(3));
  EXPECT_EQ(guest.driver.ring.used(2).id, 0U);
  EXPECT_EQ(guest.driver.ring.get<std::uint32_t>(0x20000), 7U);
}

// A guest that offers one chain again and again gets no more of the host than its queue has
// entries.
TEST(InProcessQueues, NoMoreRequestsAreInFlightThanTheQueueHasEntries) {
  KeepingDevice device;
  Running guest(device);
  const auto entries = guest.driver.ring.setup().size;
  guest.offer(0);
  const auto offer_again = [&guest] {
    guest.driver.ring.offer(0);
    guest.driver.kick();
  };
  for (unsigned i = 1; i < entries; ++i) {
    offer_again();
  }
  ASSERT_TRUE(device.wait_kept(entries));
  EXPECT_EQ(guest.driver.status(), 0x0fU);
  offer_again();
  ASSERT_TRUE(guest.driver.wait_interrupt(FunctionDriver::kConfigMessage));
  EXPECT_EQ(guest.driver.status(), 0x4fU);
  EXPECT_EQ(device.kept(), entries);
  while (device.kept() != 0) {
    device.answer(0);
  }
}

// Both a pause and a reset.
TEST(InProcessQueues, AStopWaitsForWhatIsAnsweredLater) {
  for (const bool pause : {true, false}) {
    KeepingDevice device;
    Running guest(device);
    guest.offer(0);
    ASSERT_TRUE(device.wait_kept(1));
    std::atomic<bool> stopped{false};
    std::thread stopping([&] {
      if (pause) {
        guest.function->pause();
      } else {
        guest.driver.set_status(0);
      }
      EXPECT_EQ(device.kept(), 0U);
      stopped = true;
    });
    ASSERT_TRUE(device.wait_finish());
    EXPECT_FALSE(stopped);
    EXPECT_EQ(guest.driver.status(), 0x0fU);
    device.answer(0);
    stopping.join();
    EXPECT_EQ(guest.driver.ring.used_index(), 1);
  }
}

// A network's buffers may stay with the device for ever: they are given back for a pause, and come
// again in their order.
TEST(InProcessQueues, WhatIsReleasedForAPauseComesAgain) {
  KeepingDevice device;
  device.releases = true;
  Running guest(device);
  for (const unsigned head : {0U, 2U, 4U}) {
    guest.offer(static_cast<std::uint16_t>(head));
  }
  ASSERT_TRUE(device.wait_kept(3));
  device.answer(0);
  guest.function->pause();
  EXPECT_EQ(device.kept(), 0U);
  EXPECT_EQ(guest.driver.ring.used_index(), 1);
  guest.function->resume();
  ASSERT_TRUE(device.wait_kept(2));
  device.answer(0);
  device.answer(0);
  ASSERT_TRUE(guest.driver.wait_used(3));
  EXPECT_EQ(guest.driver.ring.used(1).id, 2U);
  EXPECT_EQ(guest.driver.ring.used(2).id, 4U);
}

/// Has no memory for anything.
class ThrowingDevice : public KeepingDevice {
 public:
  Result<Execution> execute(QueueRequest&) override { throw std::bad_alloc(); }
};

// The process must not end where it stands, and whoever stops the queues must not wait for ever.
TEST(InProcessQueues, AnExceptionOfTheDeviceIsADeviceThatNeedsAReset) {
  constexpr unsigned kNeedsReset = 64;  // 2.1
  ThrowingDevice device;
  Running guest(device);
  guest.offer(0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(test::kPatienceMs);
  while ((guest.driver.status() & kNeedsReset) == 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_NE(guest.driver.status() & kNeedsReset, 0U);
  guest.function->pause();
  guest.function->resume();
  EXPECT_EQ(guest.driver.ring.used_index(), 0);
}

}  // namespace
}  // namespace gpuvm::in_process_queues_test
