// SPDX-License-Identifier: Apache-2.0
// The transport with a backend that serves queues elsewhere, as vhost and vhost-user do: it gets
// ring addresses and eventfds, and says where it stopped. Section numbers are those of VIRTIO 1.2.
#include "devices/virtio/virtio_queues.hpp"

#include <gtest/gtest.h>

#include <future>

#include "tests/unit/devices/virtio/copy_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::virtio_queues_test {
namespace {

using test::FunctionDriver;

constexpr std::uint64_t kDeviceFeature = 0x40;

bool is_signalled(int fd) {
  pollfd event{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&event, 1, 0) == 1;
}

/// A device of which only numbers are here.
class RemoteDevice : public VirtioDevice {
 public:
  std::string_view name() const override { return "remote"; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override { features_ = features; }
  void inspect(InspectNode&) const override {}
  std::uint64_t features_ = 0;

 private:
  const Identity identity_{.type = 1,
                           .class_code = 0x020000,
                           .features = kDeviceFeature,
                           .queues = 1,
                           .queue_size = 64,
                           .config_size = 8};
  DeviceConfig config_{8};
};

/// What a test sees and steers of a backend.
struct Remote {
  unsigned starts = 0;
  std::uint64_t features = 0;
  std::vector<QueueBackend::Queue> queues;  ///< as started
  const GuestMemory* memory = nullptr;
  QueueListener* listener = nullptr;
  std::vector<QueuePosition> positions;  ///< that stop() says
  bool refuses = false;
  std::vector<int> calls;         ///< set_call()'s
  std::function<void()> on_stop;  ///< on the thread that stops
};

class RemoteBackend : public QueueBackend {
 public:
  explicit RemoteBackend(Remote& remote) : remote_(remote) {}
  std::uint64_t features() const override { return ~virtio::kFeatureEventIndex; }
  bool has_call_events() const override { return true; }
  Status start(const Start& start) override {
    if (remote_.refuses) {
      return fail(ErrorKind::kHost, "The other process has left");
    }
    ++remote_.starts;
    remote_.features = start.features;
    remote_.queues.assign(start.queues.begin(), start.queues.end());
    remote_.memory = &start.memory;
    remote_.listener = &start.listener;
    return {};
  }
  void set_call(std::size_t queue, int call) override {
    EXPECT_EQ(queue, 0U);
    remote_.calls.push_back(call);
    remote_.queues.at(queue).call = call;
  }
  std::vector<QueuePosition> stop() override {
    if (remote_.on_stop) {
      remote_.on_stop();
    }
    remote_.queues.clear();
    return remote_.positions;
  }
  void inspect(InspectNode& node) const override { node.field("served_by", "remote"); }

 private:
  Remote& remote_;
};

class VirtioQueuesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made =
        VirtioPci::create(machine_.options(device_, std::make_unique<RemoteBackend>(remote_)));
    ASSERT_TRUE(made) << made.error().to_string();
    function_ = std::move(made).value();
    driver_.emplace(machine_, *function_);
  }
  /// The backend has used a buffer.
  void call() {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(remote_.queues.at(0).call, &one, sizeof one), 8);
  }

  test::FakeMachine machine_;
  RemoteDevice device_;
  Remote remote_;
  std::unique_ptr<VirtioPci> function_;
  std::optional<FunctionDriver> driver_;
};

TEST_F(VirtioQueuesTest, ABackendIsToldAllThatItNeeds) {
  driver_->bring_up();
  ASSERT_EQ(remote_.starts, 1U);
  ASSERT_EQ(remote_.queues.size(), 1U);
  const auto& queue = remote_.queues[0];
  EXPECT_EQ(queue.index, 0U);
  EXPECT_EQ(queue.setup, driver_->ring.setup());
  EXPECT_EQ(queue.position, QueuePosition{});
  EXPECT_EQ(remote_.memory, &machine_.memory);
  EXPECT_FALSE(is_signalled(queue.kick));
  driver_->kick();
  EXPECT_TRUE(is_signalled(queue.kick));  // without us
  InspectNode node;
  function_->inspect(node);
  EXPECT_EQ(node.get("running"), "true");
  EXPECT_EQ(node.get("served_by"), "remote");
}

TEST_F(VirtioQueuesTest, WhatTheBackendCannotIsNotOffered) {
  driver_->place();
  EXPECT_EQ(driver_->offered(),
            virtio::kFeatureVersion1 | virtio::kFeatureIndirect | kDeviceFeature);
  driver_->bring_up();
  EXPECT_EQ(remote_.features, driver_->offered());
  EXPECT_EQ(device_.features_, driver_->offered());
}

// With MSI-X the backend's signal is the interrupt, and no thread of ours is between.
TEST_F(VirtioQueuesTest, ACallIsTheInterruptOfMsix) {
  driver_->bring_up();
  EXPECT_EQ(remote_.queues.at(0).call, machine_.msi.event_of(FunctionDriver::kQueueMessage));
  call();
  EXPECT_TRUE(driver_->wait_interrupt());
}

// 4.1.5.1.2: a driver may map an event to another vector at any time.
TEST_F(VirtioQueuesTest, ACallMovesWithTheVector) {
  driver_->bring_up();
  driver_->write(driver_->common() + virtio::kQueueVector, 2, 1);
  EXPECT_EQ(remote_.calls, std::vector<int>{machine_.msi.event_of(FunctionDriver::kConfigMessage)});
  EXPECT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));  // what may have been lost
  call();
  EXPECT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
  EXPECT_EQ(machine_.msi.event_of(FunctionDriver::kQueueMessage) >= 0, true);
}

// 4.1.4.5: without MSI-X somebody has to set the ISR status.
TEST_F(VirtioQueuesTest, ACallIsThePinWithoutMsix) {
  driver_->place();
  driver_->negotiate(driver_->offered());
  driver_->enable_queue();
  driver_->set_status(0x0f);
  EXPECT_FALSE(machine_.pins.high(16));
  call();
  ASSERT_TRUE(machine_.pins.wait_high(16));
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), virtio::kIsrQueue);
  driver_->enable_msix();  // and then there is nobody between
  EXPECT_EQ(remote_.queues.at(0).call, machine_.msi.event_of(FunctionDriver::kQueueMessage));
}

// What a backend signals at its last moment reaches the driver.
TEST_F(VirtioQueuesTest, ACallDuringTheStopIsNotLost) {
  driver_->place();
  driver_->negotiate(driver_->offered());
  driver_->enable_queue();
  driver_->set_status(0x0f);
  remote_.on_stop = [this] { call(); };
  function_->pause();
  EXPECT_TRUE(machine_.pins.high(16));
  remote_.on_stop = {};
}

TEST_F(VirtioQueuesTest, APauseIsAStopAndGoesOnWhereItWas) {
  driver_->bring_up();
  const int kick = remote_.queues.at(0).kick;
  remote_.positions = {{.next_available = 5, .next_used = 4}};
  function_->pause();
  EXPECT_TRUE(remote_.queues.empty());
  driver_->kick();
  EXPECT_EQ(driver_->status(), 0x0fU);  // registers answer
  EXPECT_EQ(remote_.starts, 1U);
  function_->pause();  // once more is the same
  function_->resume();
  EXPECT_EQ(remote_.starts, 2U);
  EXPECT_EQ(remote_.queues.at(0).position, remote_.positions[0]);
  EXPECT_EQ(remote_.queues[0].kick, kick);
  EXPECT_TRUE(is_signalled(kick));  // rung while it was paused
  function_->resume();
  EXPECT_EQ(remote_.starts, 2U);
}

// What the registers ask for while it is paused happens once it is not.
TEST_F(VirtioQueuesTest, APausedFunctionStartsNothing) {
  function_->pause();
  driver_->bring_up();
  EXPECT_EQ(remote_.starts, 0U);
  function_->resume();
  EXPECT_EQ(remote_.starts, 1U);
  function_->pause();
  function_->quiesce();
  function_->reset();
  driver_->bring_up();
  EXPECT_EQ(remote_.starts, 2U);  // the machine's reset ends a pause
}

TEST_F(VirtioQueuesTest, AResetForgetsThePosition) {
  driver_->bring_up();
  remote_.positions = {{.next_available = 5, .next_used = 5}};
  driver_->set_status(0);
  driver_->bring_up();
  EXPECT_EQ(remote_.queues.at(0).position, QueuePosition{});
}

// 2.1.2
TEST_F(VirtioQueuesTest, ABackendThatFailsOrLeavesAsksForAReset) {
  remote_.refuses = true;
  driver_->bring_up();
  EXPECT_EQ(driver_->status(), 0x4fU);
  EXPECT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
  remote_.refuses = false;
  driver_->bring_up();
  EXPECT_EQ(driver_->status(), 0x0fU);
  remote_.listener->queues_broken(fail(ErrorKind::kHost, "The other process has left"));
  EXPECT_EQ(driver_->status(), 0x4fU);
  EXPECT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
}

// Everybody but who asks goes on while the backend takes its time to stop.
TEST_F(VirtioQueuesTest, OnlyWhoAsksForAStopWaitsForIt) {
  driver_->bring_up();
  std::promise<void> entered;
  std::promise<void> may_leave;
  remote_.on_stop = [&] {
    entered.set_value();
    may_leave.get_future().wait();
  };
  test::Sleeper resetting([this] { driver_->set_status(0); });
  entered.get_future().wait();
  EXPECT_EQ(driver_->status(), 0x0fU);  // 4.1.4.3.1: not yet 0
  EXPECT_EQ(driver_->config(0), 0x10411af4U);
  driver_->set_config(pci::kBar0, FunctionDriver::kBar);
  driver_->write(driver_->common() + virtio::kDeviceFeatureSelect, 4, 1);
  driver_->write(virtio_bar::kMsixTable + 12, 4, 1);
  device_.config().change(0, 2, 7);
  EXPECT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
  InspectNode node;
  function_->inspect(node);
  EXPECT_EQ(node.get("running"), "true");
  may_leave.set_value();
  resetting.join();
  EXPECT_EQ(driver_->status(), 0U);
  remote_.on_stop = {};
}

// 2.3 and 2.5.3: the driver hears of a change, and its generation differs.
TEST_F(VirtioQueuesTest, AChangedConfigurationIsAnnounced) {
  driver_->place();
  const auto generation = [this] {
    return driver_->read(driver_->common() + virtio::kConfigGeneration, 1);
  };
  const auto before = generation();
  device_.config().change(0, 2, 1);
  EXPECT_NE(generation(), before);
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), 0U);  // nobody drives the device yet
  driver_->bring_up();
  const auto second = generation();
  std::thread elsewhere([this] { device_.config().change(0, 2, 2); });
  elsewhere.join();
  EXPECT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
  EXPECT_NE(generation(), second);
  EXPECT_EQ(driver_->read(virtio_bar::kDevice, 2), 2U);
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), virtio::kIsrConfig);
}

TEST_F(VirtioQueuesTest, AChangedConfigurationIsAnnouncedByPin) {
  driver_->place();
  driver_->negotiate(driver_->offered());
  driver_->enable_queue();
  driver_->set_status(0x0f);
  device_.config().change(0, 2, 2);
  EXPECT_TRUE(machine_.pins.high(16));
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), virtio::kIsrConfig);
  EXPECT_FALSE(machine_.pins.high(16));
}

TEST_F(VirtioQueuesTest, ADeviceOutlivesItsFunction) {
  driver_->bring_up();
  function_.reset();
  device_.config().change(0, 2, 3);
  EXPECT_TRUE(remote_.queues.empty());
}

}  // namespace
}  // namespace gpuvm::virtio_queues_test
