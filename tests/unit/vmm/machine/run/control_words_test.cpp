// SPDX-License-Identifier: Apache-2.0
// What a guest says of its own end, at each step of its life, and what a run makes of it.
#include "tests/unit/vmm/machine/run/control_fixture.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm::control_words_test {
namespace {

using testing::ElementsAre;

class ControlWords : public test::ControlTest {
 protected:
  ControlWords() {
    events_.add([this](const GuestEvent& event) {
      if (const auto* word = std::get_if<GuestWord>(&event.what)) {
        words_.push_back(word->channel + " " + word->word);
      }
    });
  }
  std::vector<std::string> words_;  // of the control thread until the run is over
};

TEST_F(ControlWords, AnExitStatusEndsTheRun) {
  run_guest();
  loop_->requests().exit(3);
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kGuestExit);
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_FALSE(result.error);
  EXPECT_THAT(words_, ElementsAre("exit_port exit"));
  EXPECT_THAT(machine_->calls(),
              ElementsAre("build", "power_on", "power_button", "break_off", "stop"));
}

TEST_F(ControlWords, TheFirstWordCounts) {
  run_guest();
  on_control([this] {
    const auto requests = loop_->requests();
    requests.exit(0);
    requests.panic(GuestPanic::kPanicked);
    requests.power_off();
  });
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kGuestExit);
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_THAT(words_, ElementsAre("exit_port exit"));
}

TEST_F(ControlWords, AStatusThatIsNoneOfAGuestBecomesTheHighest) {
  run_guest();
  loop_->requests().exit(0xffff'ffff);
  EXPECT_EQ(wait().exit_status, kHighestGuestExit);
}

// Linux writes to pvpanic first, and reboots then where it is told to.
TEST_F(ControlWords, APanicIsNoReboot) {
  run_guest();
  on_control([this] {
    const auto requests = loop_->requests();
    requests.panic(GuestPanic::kPanicked);
    requests.reset();
  });
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kPanicked);
  EXPECT_EQ(result.exit_status, kExitGuestPanic);
  EXPECT_EQ(result.reboots, 0U);
  EXPECT_THAT(words_, ElementsAre("pvpanic panic"));
}

TEST_F(ControlWords, ACrashKernelGoesOn) {
  run_guest();
  loop_->requests().panic(GuestPanic::kCrashKernel);
  sync_requests();
  EXPECT_EQ(loop_->state(), LifecycleState::kRunning);
  EXPECT_EQ(power_off().end, RunEnd::kPoweredOff);
  EXPECT_THAT(words_, ElementsAre("pvpanic crash_kernel"));
}

TEST_F(ControlWords, AWordDuringARebootEndsTheRunWhenItsDevicesAreReset) {
  run_guest();
  machine_->hold("reboot");
  loop_->requests().reset();
  machine_->wait_for("reboot");
  loop_->requests().exit(5);
  machine_->wait_for("break_off");
  machine_->release("reboot");
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kGuestExit);
  EXPECT_EQ(result.exit_status, 5);
}

// A device that is not safe matters more than what the guest thinks of its tests.
TEST_F(ControlWords, AnUnsafeDeviceOutranksIt) {
  run_guest();
  machine_->set_outcome("stop", fail(ErrorKind::kUnsafeDevice, "It did not come back"));
  loop_->requests().exit(0);
  const auto result = wait();
  EXPECT_EQ(result.exit_status, exit_status(ErrorKind::kUnsafeDevice));
  EXPECT_TRUE(result.error);
}

TEST_F(ControlWords, AWordAfterAnEndIsAskedForIsTheEnd) {
  run_guest();
  ask_for_end();
  loop_->requests().exit(1);
  const auto result = wait();
  EXPECT_EQ(result.end, RunEnd::kGuestExit);
  EXPECT_EQ(result.exit_status, 1);
}

}  // namespace
}  // namespace gpuvm::control_words_test
