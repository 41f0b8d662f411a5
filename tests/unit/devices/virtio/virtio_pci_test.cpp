// SPDX-License-Identifier: Apache-2.0
// VirtioPci with a device that copies what it reads to what it writes. Section numbers are those of
// VIRTIO 1.2.
#include "devices/virtio/virtio_pci.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "tests/unit/devices/virtio/copy_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::virtio_pci_test {
namespace {

using test::CopyDevice;
using test::FunctionDriver;
using virtio::kDescriptorWrite;

class VirtioPciTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = VirtioPci::create(machine_.options(device_));
    ASSERT_TRUE(made) << made.error().to_string();
    function_ = std::move(made).value();
    driver_.emplace(machine_, *function_);
  }
  void TearDown() override {
    device_.hold(false);
    function_.reset();
    EXPECT_TRUE(machine_.doorbells.bells.empty());
    EXPECT_TRUE(machine_.msi.empty());
    EXPECT_FALSE(machine_.pins.high(16));
  }
  /// Offers chain `head` that copies a 4-byte value.
  void offer_copy(std::uint16_t head, std::uint32_t value) {
    driver_->ring.put(0x10000 + head * 16U, value);
    driver_->ring.chain(
        head, {{0x10000 + head * 16U, 4, 0, 0}, {0x20000 + head * 16U, 16, kDescriptorWrite, 0}});
    driver_->ring.offer(head);
  }

  test::FakeMachine machine_;
  CopyDevice device_;
  std::unique_ptr<VirtioPci> function_;
  std::optional<FunctionDriver> driver_;
};

// 4.1.2
TEST_F(VirtioPciTest, Identity) {
  EXPECT_EQ(driver_->config(0x00), 0x10421af4U);
  EXPECT_EQ(driver_->config(0x08), 0x01800001U);  // revision 1 or higher
  EXPECT_GE(driver_->config(0x2c) >> 16, 0x40U);
  EXPECT_EQ(driver_->config(0x3c) >> 8, 1U);  // INTA#
}

// 4.1.4: one structure of each kind, and their alignments.
TEST_F(VirtioPciTest, CapabilitiesNameTheStructures) {
  using virtio::StructureType;
  EXPECT_EQ(driver_->find(StructureType::kCommon), 0U);
  EXPECT_EQ(driver_->find(StructureType::kIsr), 0x1000U);
  EXPECT_EQ(driver_->find(StructureType::kDevice), 0x2000U);
  EXPECT_EQ(driver_->find(StructureType::kNotify), 0x3000U);
  EXPECT_TRUE(driver_->find(StructureType::kPciConfigAccess));
}

TEST_F(VirtioPciTest, ARequestIsServedWithoutAnExitForItsDoorbell) {
  driver_->bring_up();
  EXPECT_EQ(driver_->status(), 0x0fU);
  EXPECT_EQ(device_.features_, driver_->offered());
  offer_copy(0, 0xcafe0001);
  driver_->kick();
  ASSERT_TRUE(driver_->wait_used(1));
  EXPECT_EQ(driver_->ring.used(0).id, 0U);
  EXPECT_EQ(driver_->ring.used(0).length, 4U);
  EXPECT_EQ(driver_->ring.get<std::uint32_t>(0x20000), 0xcafe0001U);
  InspectNode node;
  function_->inspect(node);
  EXPECT_EQ(node.get("requests"), "1");
  EXPECT_EQ(node.get("doorbells_that_exited"), "0");
}

TEST_F(VirtioPciTest, ManyRequestsInOrder) {
  driver_->bring_up(virtio::kFeatureEventIndex);
  for (std::uint16_t round = 0; round < 1000; round = static_cast<std::uint16_t>(round + 4)) {
    for (std::uint16_t i = 0; i < 4; ++i) {
      offer_copy(static_cast<std::uint16_t>(i * 2), round + i);
      if (driver_->ring.must_kick()) {
        driver_->kick();
      }
    }
    ASSERT_TRUE(driver_->wait_used(static_cast<std::uint16_t>(round + 4)));
    for (std::uint16_t i = 0; i < 4; ++i) {
      ASSERT_EQ(driver_->ring.used(static_cast<std::uint16_t>(round + i)).id, i * 2U);
      ASSERT_EQ(driver_->ring.get<std::uint32_t>(0x20000 + i * 32U), round + i);
    }
  }
}

// What a driver made available before DRIVER_OK is served then, without a doorbell.
TEST_F(VirtioPciTest, NothingIsServedBeforeDriverOk) {
  driver_->place();
  driver_->negotiate(driver_->offered());
  driver_->enable_msix();
  driver_->enable_queue();
  offer_copy(0, 1);
  driver_->kick();
  EXPECT_EQ(driver_->ring.used_index(), 0);
  driver_->set_status(0x0f);
  EXPECT_TRUE(driver_->wait_used(1));
}

// PCI Express Base 6.0, 7.5.1.1.3: without Bus Master Enable a function reaches no memory.
TEST_F(VirtioPciTest, TheDeviceRestsWhileItMayNotMasterTheBus) {
  driver_->bring_up();
  driver_->set_command(pci::kCommandMemory);
  offer_copy(0, 1);
  driver_->kick();
  EXPECT_EQ(driver_->ring.used_index(), 0);
  driver_->set_command(pci::kCommandMemory | pci::kCommandBusMaster);
  ASSERT_TRUE(driver_->wait_used(1));
  offer_copy(2, 2);
  driver_->kick();
  EXPECT_TRUE(driver_->wait_used(2));  // it goes on where it was
}

// 2.4: a reset returns once nothing is in flight; the device then forgets its queues.
TEST_F(VirtioPciTest, AResetWaitsForTheRequestInFlight) {
  driver_->bring_up();
  device_.hold(true);
  offer_copy(0, 7);
  driver_->kick();
  ASSERT_TRUE(device_.wait_entered(1));
  std::thread vcpu([this] {
    driver_->set_status(0);
    EXPECT_EQ(device_.left(), 1U);
  });
  device_.hold(false);
  vcpu.join();
  EXPECT_EQ(driver_->status(), 0U);
  offer_copy(2, 8);
  driver_->kick();
  EXPECT_EQ(driver_->read(driver_->common() + virtio::kQueueEnable, 2), 0U);
  EXPECT_EQ(device_.left(), 1U);
}

// Only the vCPU that asks for the reset waits for the disk; the others go on.
TEST_F(VirtioPciTest, WhileAResetWaitsOtherVcpusReachTheFunction) {
  driver_->bring_up();
  device_.hold(true);
  offer_copy(0, 7);
  driver_->kick();
  ASSERT_TRUE(device_.wait_entered(1));
  test::Sleeper resetting([this] { driver_->set_status(0); });
  resetting.wait_asleep();
  auto others = std::async(std::launch::async, [this] {
    driver_->config(pci::kCommand);
    InspectNode node;
    function_->inspect(node);
    driver_->read(virtio_bar::kDevice, 4);
    driver_->write(driver_->common() + virtio::kDeviceFeatureSelect, 4, 1);
    return driver_->status();
  });
  const bool answered =
      others.wait_for(std::chrono::milliseconds(test::kPatienceMs)) == std::future_status::ready;
  EXPECT_TRUE(answered);
  EXPECT_EQ(device_.left(), 0U);
  device_.hold(false);
  EXPECT_EQ(others.get(), answered ? 0x0f : 0);  // 4.1.4.3.1: 0 only once the reset is done
  resetting.join();
  EXPECT_EQ(driver_->status(), 0U);
}

TEST_F(VirtioPciTest, AfterAResetTheDriverCanStartAgain) {
  for (unsigned round = 0; round < 3; ++round) {
    driver_->bring_up();
    offer_copy(0, round);
    driver_->kick();
    ASSERT_TRUE(driver_->wait_used(1));
    EXPECT_EQ(driver_->ring.get<std::uint32_t>(0x20000), round);
    driver_->set_status(0);
  }
}

// 2.1.2: DEVICE_NEEDS_RESET and a notification of a changed configuration.
TEST_F(VirtioPciTest, ABrokenRingAsksForAReset) {
  driver_->bring_up();
  driver_->ring.offer(77);
  driver_->kick();
  ASSERT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
  EXPECT_EQ(driver_->status(), 0x4fU);
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), virtio::kIsrConfig);
  driver_->bring_up();
  EXPECT_EQ(driver_->status(), 0x0fU);
  offer_copy(0, 1);
  driver_->kick();
  EXPECT_TRUE(driver_->wait_used(1));
}

TEST_F(VirtioPciTest, AQueueThatCannotBeAsksForAReset) {
  driver_->place();
  driver_->negotiate(driver_->offered());
  driver_->enable_queue(GuestAddress(0x4001));
  driver_->set_status(0x0f);
  EXPECT_EQ(driver_->status(), 0x4fU);
}

TEST_F(VirtioPciTest, AChainThatMakesNoSenseAsksForAReset) {
  driver_->bring_up();
  driver_->ring.chain(0, {{0x10000, 4, kDescriptorWrite, 0}});
  driver_->ring.offer(0);
  driver_->kick();
  ASSERT_TRUE(driver_->wait_interrupt(FunctionDriver::kConfigMessage));
  EXPECT_EQ(driver_->status(), 0x4fU);
  EXPECT_EQ(driver_->ring.used_index(), 0);
}

// 4.1.4.5: without MSI-X the ISR status and INTx; reading the status clears both.
TEST_F(VirtioPciTest, InterruptsByPin) {
  driver_->place();
  driver_->negotiate(driver_->offered() & ~virtio::kFeatureEventIndex);
  driver_->enable_queue();
  driver_->set_status(0x0f);
  offer_copy(0, 1);
  driver_->kick();
  ASSERT_TRUE(device_.wait_entered(1));
  ASSERT_TRUE(machine_.pins.wait_high(16));
  EXPECT_NE(driver_->config(pci::kCommand) & 0x80000, 0U);  // Interrupt Status
  driver_->set_command(0x406);                              // Interrupt Disable
  EXPECT_FALSE(machine_.pins.high(16));
  driver_->set_command(0x006);
  EXPECT_TRUE(machine_.pins.high(16));
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), virtio::kIsrQueue);
  EXPECT_FALSE(machine_.pins.high(16));
  EXPECT_EQ(driver_->read(virtio_bar::kIsr, 1), 0U);
  EXPECT_EQ(driver_->config(pci::kCommand) & 0x80000, 0U);
}

// PCI Express Base 6.0, 6.1.4.5: a masked vector keeps its interrupt as a pending bit.
TEST_F(VirtioPciTest, AMaskedVectorIsPending) {
  driver_->bring_up();
  driver_->write(virtio_bar::kMsixTable + 12, 4, 1);
  offer_copy(0, 1);
  driver_->kick();
  ASSERT_TRUE(device_.wait_entered(1));
  function_->config_write(pci::kCommand, pci::kCommandMemory, 0xffff);  // the thread has ended
  EXPECT_EQ(driver_->read(virtio_bar::kMsixPending, 8), 1U);
  EXPECT_EQ(machine_.msi.event_of(FunctionDriver::kQueueMessage), -1);
  driver_->write(virtio_bar::kMsixTable + 12, 4, 0);
  EXPECT_EQ(driver_->read(virtio_bar::kMsixPending, 8), 0U);
  EXPECT_TRUE(driver_->wait_interrupt());
}

// 4.1.5.3.1: NO_VECTOR means no interrupt.
TEST_F(VirtioPciTest, AQueueWithoutVectorIsSilent) {
  driver_->bring_up();
  driver_->write(driver_->common() + virtio::kQueueVector, 2, virtio::kNoVector);
  offer_copy(0, 1);
  driver_->kick();
  ASSERT_TRUE(device_.wait_entered(1));
  driver_->set_command(pci::kCommandMemory);
  EXPECT_EQ(driver_->ring.used_index(), 1);
  pollfd event{.fd = machine_.msi.event_of(FunctionDriver::kQueueMessage), .events = POLLIN};
  EXPECT_EQ(::poll(&event, 1, 0), 0);
}

// 4.1.4.9: the BAR through configuration space, also while it is decoded nowhere.
TEST_F(VirtioPciTest, AccessThroughConfigurationSpace) {
  std::uint16_t capability = 0;
  for (auto at = static_cast<std::uint16_t>(driver_->config(0x34) & 0xff); at != 0;
       at = static_cast<std::uint16_t>(driver_->config(at) >> 8 & 0xff)) {
    capability = driver_->config(at) >> 24 == 5 ? at : capability;
  }
  ASSERT_NE(capability, 0U);
  const auto field = [capability](unsigned offset) {
    return static_cast<std::uint16_t>(capability + offset);
  };
  const auto aim = [&](std::uint32_t bar, std::uint32_t offset, std::uint32_t length) {
    driver_->set_config(field(4), bar, 0xff);
    driver_->set_config(field(8), offset);
    driver_->set_config(field(12), length);
  };
  aim(0, virtio::kDeviceStatus, 1);
  driver_->set_config(field(16), 3);
  EXPECT_EQ(driver_->config(field(16)), 3U);
  aim(0, virtio::kQueueSize, 2);
  EXPECT_EQ(driver_->config(field(16)), 64U);
  aim(0, virtio_bar::kDevice + 8, 4);
  EXPECT_EQ(driver_->config(field(16)), 0x0b0a0908U);
  struct Bad {
    std::uint32_t bar, offset, length;
  };
  for (const auto& bad : {Bad{1, 0, 4}, Bad{0, 0, 0}, Bad{0, 0, 3}, Bad{0, 0, 8}, Bad{0, 1, 2},
                          Bad{0, 0x8000, 4}, Bad{0, 0xfffffffc, 4}}) {
    aim(bad.bar, bad.offset, bad.length);
    driver_->set_config(field(16), 0);
    EXPECT_EQ(driver_->config(field(16)), 0U);
  }
  aim(0, virtio::kDeviceStatus, 1);
  EXPECT_EQ(driver_->config(field(16)), 3U);  // nothing bad reached it
}

TEST_F(VirtioPciTest, DoorbellsMoveWithTheBarAndWorkWithoutTheHost) {
  driver_->place();
  EXPECT_TRUE(machine_.doorbells.bells.contains(GuestAddress(FunctionDriver::kBar + 0x3000)));
  driver_->set_config(pci::kBar0, 0x90000000);
  EXPECT_EQ(machine_.doorbells.bells.size(), 1U);
  EXPECT_TRUE(machine_.doorbells.bells.contains(GuestAddress(0x90003000)));
  machine_.doorbells.refuse = true;
  driver_->set_config(pci::kBar0, FunctionDriver::kBar);
  EXPECT_TRUE(machine_.doorbells.bells.empty());
  driver_->bring_up();
  offer_copy(0, 5);
  driver_->kick();
  EXPECT_TRUE(driver_->wait_used(1));
}

TEST_F(VirtioPciTest, AccessesNowhereReadAsOnesAndAreDropped) {
  driver_->place();
  for (const std::uint64_t offset :
       {0x38U, 0x0fffU, 0x1001U, 0x203cU, 0x2ffcU, 0x3004U, 0x4020U, 0x5008U, 0x7ff8U}) {
    for (const std::size_t size : {1U, 2U, 4U, 8U}) {
      const std::uint64_t ones = ~std::uint64_t{0} >> (64 - size * 8);
      EXPECT_EQ(driver_->read(offset, size), ones) << offset;
      driver_->write(offset, size, 0x5a5a5a5a5a5a5a5a);
    }
  }
  EXPECT_EQ(driver_->read(0x203b, 1), 0x3bU);
  EXPECT_EQ(driver_->status(), 0U);
}

// A device that leaves: its vCPUs may be in the middle of an access, or wait for a reset.
TEST_F(VirtioPciTest, LeavesWhileVcpusAccessIt) {
  driver_->bring_up();
  device_.hold(true);
  offer_copy(0, 1);
  driver_->kick();
  ASSERT_TRUE(device_.wait_entered(1));
  const GuestAddress status(FunctionDriver::kBar + virtio::kDeviceStatus);
  test::Sleeper resetting([this, status] {
    const std::array<std::byte, 1> zero{};
    machine_.mmio.write(status, zero);
  });
  resetting.wait_asleep();
  std::promise<void> seen;
  std::thread reading([&] {
    std::array<std::byte, 1> value{};
    machine_.mmio.read(status, value);
    EXPECT_EQ(value[0], std::byte{0x0f});
    seen.set_value();
    while (value[0] != std::byte{0xff}) {  // until nobody answers
      machine_.mmio.read(status, value);
    }
  });
  seen.get_future().wait();
  test::Sleeper leaving([this] { function_.reset(); });
  leaving.wait_asleep();
  EXPECT_EQ(device_.left(), 0U);
  device_.hold(false);
  leaving.join();
  EXPECT_EQ(device_.left(), 1U);
  reading.join();
}

TEST_F(VirtioPciTest, TheMachinesResetForgetsEverythingButThePlace) {
  ASSERT_TRUE(function_->bars().set_power_on_address(0, FunctionDriver::kBar));
  driver_->bring_up();
  driver_->set_config(pci::kBar0, 0x90000000);
  function_->quiesce();
  EXPECT_TRUE(machine_.doorbells.bells.empty());
  EXPECT_TRUE(machine_.msi.empty());
  function_->reset();
  EXPECT_EQ(driver_->config(pci::kBar0), FunctionDriver::kBar);
  EXPECT_EQ(driver_->config(pci::kCommand) & 0xffff, 0U);
  EXPECT_EQ(driver_->config(0x40) >> 31, 0U);
  driver_->place();
  EXPECT_EQ(driver_->status(), 0U);
}

}  // namespace
}  // namespace gpuvm::virtio_pci_test
