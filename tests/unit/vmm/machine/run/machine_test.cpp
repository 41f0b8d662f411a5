// SPDX-License-Identifier: Apache-2.0
// Machine: its life from state to state, broken off, paused and looked at anywhere on the way.
#include "vmm/machine/run/machine.hpp"

#include "tests/unit/vmm/machine/run/machine_fixture.hpp"
#include "tests/unit/vmm/owner/noting_owner.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::machine_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MachineLife : public test::MachineTest {};

TEST_F(MachineLife, EveryStateOfAGoodLife) {
  Machine& machine = run();
  console_.wait_for_more();
  ASSERT_TRUE(machine.pause());
  ASSERT_TRUE(machine.resume());
  console_.wait_for_more();
  ASSERT_TRUE(machine.reboot(wanted));
  console_.wait_for_more();
  ASSERT_TRUE(machine.stop());
  EXPECT_THAT(states_, ElementsAre("resetting", "running", "paused", "running", "rebooting",
                                   "running", "stopping", "stopped"));
  EXPECT_EQ(vm_->rebuilds, 1U);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(MachineLife, WhatOutlivesItIsHandedOverOnceAndBeforeTheGuestRuns) {
  test::NotingOwner owner;
  owner_ = &owner;
  Machine& machine = make();
  ASSERT_TRUE(machine.build(wanted));
  EXPECT_EQ(owner.notes.size(), 2U);
  ASSERT_TRUE(machine.power_on(wanted));
  console_.wait_for_more();
  const std::string declared = fmt::format("declare {}/kernel to read", directory_);
  EXPECT_THAT(owner.notes, ElementsAre(declared, "guest runs"));
  const auto rebooted = machine.reboot(wanted);
  ASSERT_TRUE(rebooted) << rebooted.error().to_string();
  EXPECT_THAT(owner.notes, ElementsAre(declared, "guest runs", "open 100"))
      << "the guest gets what the file is then";
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineLife, NoGuestRunsWithoutItsOwner) {
  test::NotingOwner owner;
  owner.refused.emplace("guest runs", Error(ErrorKind::kHost, "The owner is gone"));
  owner_ = &owner;
  Machine& machine = make();
  const auto built = machine.build(wanted);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().message(), "The owner is gone");
  EXPECT_TRUE(machine.stop());
}

// MC146818 data sheet, register B: the update-ended interrupt comes at the next second. What has
// been flagged before is read from register C: an interrupt that is there already has no timer.
TEST_F(MachineLife, TheGuestsClockGetsATimer) {
  guest_ = [](PortBus& ports, MmioBus&) -> std::optional<VcpuEvent> {
    std::array<std::byte, 1> flags{};
    ports.write(kRtcBase, std::array{std::byte{0x0c}});
    ports.read(kRtcBase + 1, flags);
    ports.write(kRtcBase, std::array{std::byte{0x0b}});
    ports.write(kRtcBase + 1, std::array{std::byte{0x12}});
    return std::nullopt;
  };
  Machine& machine = run();
  const auto delay = armed_.get_future().get();
  EXPECT_GE(delay, std::chrono::nanoseconds(0));
  EXPECT_LE(delay, std::chrono::seconds(1));
  machine.clock_expired();
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineLife, APausedGuestIsSilent) {
  Machine& machine = run();
  for (int i = 0; i < 20; ++i) {
    console_.wait_for_more();
    ASSERT_TRUE(machine.pause());
    const auto before = console_.bytes();
    InspectNode node;
    machine.inspect(node);
    EXPECT_EQ(node.get("state"), "paused");
    EXPECT_EQ(console_.bytes(), before);
    ASSERT_TRUE(machine.resume());
  }
  ASSERT_TRUE(machine.pause());
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(machine.state(), LifecycleState::kStopped);
}

TEST_F(MachineLife, AGuestThatEndsItsRunByTheExitPortDoesNothingMore) {
  config_.test.exit_port = true;
  bool has_ended = false;
  guest_ = [&has_ended](PortBus& ports, MmioBus&) -> std::optional<VcpuEvent> {
    const bool goes_on = std::exchange(has_ended, true);
    ports.write(goes_on ? kCom1Base : kExitPort, std::array{std::byte{3}});
    return std::nullopt;
  };
  Machine& machine = run();
  EXPECT_EQ(exit_.get_future().get(), 3U);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // in which it could print much
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(console_.bytes(), 0U);
}

TEST_F(MachineLife, PauseAndResumeFitOneStateEach) {
  Machine& machine = make();
  EXPECT_EQ(machine.pause().error().kind(), ErrorKind::kWrongState);
  ASSERT_TRUE(machine.build(wanted));
  EXPECT_EQ(machine.pause().error().kind(), ErrorKind::kWrongState);
  EXPECT_EQ(machine.resume().error().kind(), ErrorKind::kWrongState);
  ASSERT_TRUE(machine.power_on(wanted));
  EXPECT_EQ(machine.resume().error().kind(), ErrorKind::kWrongState);
  ASSERT_TRUE(machine.pause());
  EXPECT_EQ(machine.pause().error().kind(), ErrorKind::kWrongState);
  EXPECT_FALSE(machine.reboot(wanted));
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(machine.pause().error().kind(), ErrorKind::kWrongState);
}

// A signal at any step of the start.
TEST_F(MachineLife, ABuildingCanBeBrokenOffAfterEveryStep) {
  int steps = 0;
  for (bool is_built = false; !is_built; ++steps) {
    int left = steps;
    Machine& machine = make();
    const auto built = machine.build([&left] { return left-- == 0; });
    is_built = built.has_value();
    if (!is_built) {
      EXPECT_EQ(built.error().kind(), ErrorKind::kCancelled);
    }
    EXPECT_TRUE(machine.stop());
    EXPECT_EQ(machine.state(), LifecycleState::kStopped);
  }
  EXPECT_GT(steps, 4);
}

TEST_F(MachineLife, APowerOnThatBecomesUnwantedStartsNoGuest) {
  Machine& machine = make();
  ASSERT_TRUE(machine.build(wanted));
  const auto on = machine.power_on(unwanted);
  ASSERT_FALSE(on);
  EXPECT_EQ(on.error().kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(console_.bytes(), 0U);
  EXPECT_THAT(states_, ElementsAre("resetting", "stopping", "stopped"));
}

TEST_F(MachineLife, ARebootThatBecomesUnwantedStartsNoGuest) {
  Machine& machine = run();
  ASSERT_TRUE(machine.reboot(unwanted));
  const auto before = console_.bytes();
  EXPECT_EQ(machine.state(), LifecycleState::kRebooting);
  EXPECT_EQ(vm_->rebuilds, 0U);
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(console_.bytes(), before);
}

TEST_F(MachineLife, AMachineWithoutAVmIsStopped) {
  vm_status_ = fail(ErrorKind::kHost, "No VM");
  Machine& machine = make();
  const auto built = machine.build(wanted);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().to_string(), "No VM");
  InspectNode node;
  machine.inspect(node);
  EXPECT_EQ(node.get("state"), "created");
  EXPECT_TRUE(machine.stop());
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineLife, ARebootWithoutAKernelFails) {
  Machine& machine = run();
  std::filesystem::remove(config_.boot.kernel);
  const auto rebooted = machine.reboot(wanted);
  ASSERT_FALSE(rebooted);
  EXPECT_EQ(rebooted.error().kind(), ErrorKind::kConfig);
  EXPECT_EQ(machine.state(), LifecycleState::kFailed);
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(machine.state(), LifecycleState::kFailed);
}

TEST_F(MachineLife, ARebootWhoseVmCannotBeMadeFails) {
  Machine& machine = run();
  vm_->rebuild_status = fail(ErrorKind::kHost, "No more VMs");
  EXPECT_FALSE(machine.reboot(wanted));
  EXPECT_EQ(machine.state(), LifecycleState::kFailed);
}

TEST_F(MachineLife, InspectAnswersWhileTheVmIsMade) {
  before_vm_ = [this] {
    InspectNode node;
    machine_->inspect(node);
    EXPECT_EQ(node.get("state"), "created");
    EXPECT_THAT(node.to_json(), HasSubstr("host_devices"));
  };
  Machine& machine = make();
  ASSERT_TRUE(machine.build(wanted));
}

TEST_F(MachineLife, InspectShowsThePartsInTheirOrder) {
  Machine& machine = run();
  InspectNode node;
  machine.inspect(node);
  const auto json = node.to_json();
  std::size_t at = 0;
  for (const auto* part : {"\"name\"", "\"state\"", "\"reboots\"", "\"ports\"", "\"mmio\"",
                           "\"kvm\"", "\"platform\"", "\"host_devices\"", "\"pci\""}) {
    const auto found = json.find(part, at);
    ASSERT_NE(found, std::string::npos) << part << " in " << json;
    at = found;
  }
}

TEST_F(MachineLife, TheStatusPortIsThereWhereItIsWanted) {
  words_ = GuestWords::open(config_, events_).value();
  InspectNode without;
  run().inspect(without);
  EXPECT_EQ(without.to_json().find("status-port"), std::string::npos);
  machine_.reset();
  config_.test.status_port = true;
  words_ = GuestWords::open(config_, events_).value();
  InspectNode node;
  run().inspect(node);
  EXPECT_THAT(node.to_json(), HasSubstr("\"port\":\"org.gpuvm.status\""));
  EXPECT_THAT(node.to_json(), HasSubstr("\"words\":{\"status_port\":{\"exit\":0"));
}

// A guest of a pool reads another id when it is somebody's, and the same one after a reboot.
TEST_F(MachineLife, AWarmGuestHasAGenerationId) {
  std::atomic<std::uint64_t> seen{0};
  guest_ = [&seen](PortBus& ports, MmioBus& mmio) -> std::optional<VcpuEvent> {
    std::array<std::byte, 8> id{};
    mmio.read(kGenerationIdBase, id);
    seen = load_le(id);
    ports.write(kCom1Base, std::array{std::byte{'x'}});
    return std::nullopt;
  };
  // What it has read since: the second byte that is printed from here on comes behind a new look.
  const auto look = [&] {
    console_.wait_for_more();
    console_.wait_for_more();
    return seen.load();
  };
  run();
  EXPECT_EQ(look(), ~std::uint64_t{0}) << "an ordinary guest has none";
  machine_.reset();
  status_input_ = PortInput::create().value();
  Machine& machine = run();
  const auto first = look();
  EXPECT_NE(first, ~std::uint64_t{0});
  ASSERT_TRUE(machine.renew_generation_id());
  const auto second = look();
  EXPECT_NE(second, first);
  ASSERT_TRUE(machine.reboot(wanted));
  EXPECT_EQ(look(), second);
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineLife, InspectDuringAllOfALife) {
  Machine& machine = make();
  std::atomic<bool> is_over{false};
  std::thread other([&] {
    while (!is_over) {
      InspectNode node;
      machine.inspect(node);
      (void)machine.state();
    }
  });
  ASSERT_TRUE(machine.build(wanted));
  ASSERT_TRUE(machine.power_on(wanted));
  for (int i = 0; i < 10; ++i) {
    console_.wait_for_more();
    ASSERT_TRUE(machine.pause());
    machine.press_power_button();
    ASSERT_TRUE(machine.resume());
    ASSERT_TRUE(machine.reboot(wanted));
  }
  machine.break_off();
  ASSERT_TRUE(machine.stop());
  is_over = true;
  other.join();
}

}  // namespace
}  // namespace gpuvm::machine_test
