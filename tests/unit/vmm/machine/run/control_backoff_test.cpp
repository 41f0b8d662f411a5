// SPDX-License-Identifier: Apache-2.0
// The control loop with a guest that reboots in a loop.
#include <atomic>

#include "tests/unit/vmm/machine/run/control_fixture.hpp"
#include "vmm/control/reboot_backoff.hpp"
#include "vmm/machine/run/control_loop.hpp"

namespace gpuvm::control_backoff_test {
namespace {

class ControlBackoff : public test::ControlTest {
 protected:
  /// As many reboots as are free, and no longer lives between them.
  void use_up_what_is_free(std::chrono::seconds backoff) {
    make({.reboot_backoff = backoff});
    number_ = events_.add([this](const GuestEvent& event) {
      if (const auto* delayed = std::get_if<RebootDelayed>(&event.what)) {
        seconds_ = delayed->seconds;
        lives_ = delayed->short_lives;
      }
    });
    run_guest();
    for (unsigned i = 0; i < RebootBackoff::kFree; ++i) {
      loop_->requests().reset();
      machine_->wait_for("reboot", i + 1);
    }
    EXPECT_EQ(lives_, 0U);
  }
  ~ControlBackoff() override { events_.remove(number_); }

  std::uint64_t number_ = 0;
  std::atomic<std::uint64_t> seconds_{0};
  std::atomic<std::uint64_t> lives_{0};
};

TEST_F(ControlBackoff, TheNextRebootWaitsAndIsTold) {
  use_up_what_is_free(std::chrono::seconds(60));
  const auto began = RebootBackoff::Clock::now();
  loop_->requests().reset();
  machine_->wait_for("reboot", RebootBackoff::kFree + 1);
  EXPECT_GE(RebootBackoff::Clock::now() - began, RebootBackoff::kFirstWait);
  EXPECT_EQ(seconds_, 1U);
  EXPECT_EQ(lives_, RebootBackoff::kFree + 1);
  EXPECT_EQ(power_off().end, RunEnd::kPoweredOff);
}

TEST_F(ControlBackoff, WhoEndsTheGuestMeanwhileIsHeard) {
  use_up_what_is_free(std::chrono::seconds(60));
  machine_->hold("reboot");
  loop_->requests().reset();
  machine_->wait_for("stop_vcpus", RebootBackoff::kFree + 1);
  auto stopped = ask(&ControlLoop::stop);
  machine_->release("reboot");
  EXPECT_TRUE(stopped.get());
  EXPECT_EQ(wait().end, RunEnd::kStopped);
}

// A rest may take a quarter of an hour.
TEST_F(ControlBackoff, NobodyWaitsForItsEnd) {
  const auto begin_rest = [this] {
    const auto before = machine_->count("stop_vcpus");
    loop_->requests().reset();
    machine_->wait_for("stop_vcpus", before + 1);
  };
  use_up_what_is_free(std::chrono::seconds(900));
  for (unsigned i = 0; i < 4; ++i) {  // 1, 2, 4 and 8 s
    begin_rest();
    EXPECT_TRUE(done(&ControlLoop::reboot));
  }
  const auto began = RebootBackoff::Clock::now();
  const auto reboots = machine_->count("reboot");
  begin_rest();  // 16 s
  EXPECT_EQ(refused(&ControlLoop::pause), ErrorKind::kWrongState);
  EXPECT_THAT(done(&ControlLoop::resume).error().message(), testing::HasSubstr("reboot_backoff"));
  EXPECT_EQ(machine_->count("reboot"), reboots) << "neither ends the rest";
  EXPECT_TRUE(done(&ControlLoop::press_power_button));
  EXPECT_EQ(machine_->count("reboot"), reboots + 1);
  EXPECT_EQ(machine_->count("power_button"), 2) << "the first of them was run_guest()'s";
  begin_rest();  // 32 s
  EXPECT_TRUE(done(&ControlLoop::reboot));
  EXPECT_EQ(machine_->count("reboot"), reboots + 2) << "the one that was at work";
  EXPECT_TRUE(done(&ControlLoop::pause)) << "it runs";
  EXPECT_TRUE(done(&ControlLoop::resume));
  EXPECT_LT(RebootBackoff::Clock::now() - began, std::chrono::seconds(10));
  power_off();
}

TEST_F(ControlBackoff, OthersMayRebootItAsOftenAsTheyLike) {
  use_up_what_is_free(std::chrono::seconds(60));
  for (unsigned i = 0; i < 2 * RebootBackoff::kFree; ++i) {
    EXPECT_TRUE(done(&ControlLoop::reboot));
  }
  EXPECT_EQ(lives_, 0U);
  power_off();
}

TEST_F(ControlBackoff, ZeroIsNoWait) {
  use_up_what_is_free(std::chrono::seconds(0));
  loop_->requests().reset();
  machine_->wait_for("reboot", RebootBackoff::kFree + 1);
  EXPECT_EQ(lives_, 0U);
  power_off();
}

}  // namespace
}  // namespace gpuvm::control_backoff_test
