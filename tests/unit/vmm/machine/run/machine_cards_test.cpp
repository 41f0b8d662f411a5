// SPDX-License-Identifier: Apache-2.0
// Machine with a card that comes while the guest runs: a second fake GPU, which a process serves.
#include "tests/fake_gpu/fake_gpu_process.hpp"
#include "tests/unit/vmm/machine/run/machine_fixture.hpp"

namespace gpuvm::machine_cards_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MachineWithFreePort : public test::MachineTest {
 protected:
  MachineWithFreePort() {
    config_.machine.free_ports = 1;
    config_.sandbox.mode = SandboxMode::kOff;
    config_.machine.reserve = 1_GiB;
    config_.pci.push_back({.socket = first_.socket()});  // memory is shared, then
    events_.add([this](const GuestEvent& event) {
      if (const auto* moved = std::get_if<CardMoved>(&event.what)) {
        steps_.push_back(moved->step);
      }
    });
  }
  static std::string state_of_slot(const Machine& machine) {
    InspectNode node;
    machine.inspect(node);
    const auto* const slots = node.find("hot_plug");
    return slots == nullptr || slots->children().empty()
               ? "none"
               : std::string(slots->children().front()->get("state"));
  }

  fake_gpu::FakeGpuProcess first_{std::vector<std::string>()};
  fake_gpu::FakeGpuProcess second_{std::vector<std::string>()};
  std::vector<std::string> steps_;
};

TEST_F(MachineWithFreePort, ACardComesAndGoes) {
  Machine& machine = run();
  EXPECT_EQ(state_of_slot(machine), "empty");
  const auto came = machine.attach(second_.socket(), wanted);
  ASSERT_TRUE(came) << came.error().to_string();
  EXPECT_EQ(state_of_slot(machine), "in");
  ASSERT_TRUE(machine.pause());
  ASSERT_TRUE(machine.resume());
  const auto asked = machine.ask_for(second_.socket());
  ASSERT_TRUE(asked);
  EXPECT_TRUE(asked->is_released) << "no guest has switched the slot on";
  const auto gone = machine.take_out(second_.socket());
  ASSERT_TRUE(gone) << gone.error().to_string();
  EXPECT_EQ(state_of_slot(machine), "empty");
  EXPECT_THAT(steps_, ElementsAre("claimed", "verified", "mapped", "shown", "announced", "asked",
                                  "withdrawn", "gone"));
  EXPECT_TRUE(machine.attach(second_.socket(), wanted)) << "and again";
  EXPECT_TRUE(machine.stop()) << "with it";
  EXPECT_TRUE(failures_.empty());
}

TEST_F(MachineWithFreePort, ItStaysThroughAReboot) {
  Machine& machine = run();
  ASSERT_TRUE(machine.attach(second_.socket(), wanted));
  const auto rebooted = machine.reboot(wanted);
  ASSERT_TRUE(rebooted) << rebooted.error().to_string();
  EXPECT_EQ(state_of_slot(machine), "in");
  EXPECT_TRUE(machine.take_out(second_.socket()));
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineWithFreePort, AnAttachThatNobodyWantsAnyMoreLeavesNothing) {
  Machine& machine = run();
  const auto status = machine.attach(second_.socket(), unwanted);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(state_of_slot(machine), "empty");
  EXPECT_TRUE(machine.attach(second_.socket(), wanted));
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineWithFreePort, TheOneOfTheStartCannotGo) {
  Machine& machine = run();
  const auto status = machine.ask_for(first_.socket());
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("has not come to this guest by an attach"));
  EXPECT_FALSE(machine.attach(first_.socket(), wanted)) << "and is not free to come";
  EXPECT_TRUE(machine.stop());
}

}  // namespace
}  // namespace gpuvm::machine_cards_test
