// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/slot_cycle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/unit/vmm/host/fake_slot.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::slot_cycle_test {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class SlotCycleTest : public testing::Test {
 protected:
  SlotCycleTest() { slot_.plug(); }
  Result<SlotCycle> cycle() { return SlotCycle::of(host_, bdf_of(slot_.kGpu), ours_); }
  Status run(SlotMethod method) {
    auto slot = cycle();
    host_.writes.clear();
    return slot.value().run(method, [this](milliseconds time) { slept_ += time; });
  }
  std::string attribute(const std::string& bdf, const std::string& name) const {
    return host_.read("/sys/bus/pci/devices/" + bdf + "/" + name).value();
  }

  FakeHost host_;
  FakeSlot slot_{host_};
  std::vector<Bdf> ours_{bdf_of("0000:01:00.0"), bdf_of("0000:01:00.1")};
  milliseconds slept_{0};
};

TEST_F(SlotCycleTest, WhatIsNotOursIsLeftAlone) {
  ours_.pop_back();
  const auto refused = cycle();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr(slot_.kAudio));
  ours_.push_back(bdf_of(slot_.kAudio));
  host_.attach(slot_.kAudio, "snd_hda_intel");
  EXPECT_FALSE(cycle());
}

TEST_F(SlotCycleTest, RescanFindsThemAndPutsBackWhatTheKernelForgot) {
  host_.file("/sys/bus/pci/devices/" + slot_.kGpu + "/reset_method", "\n");  // the user's choice
  bool were_gone = false;
  slot_.on_rescan = [&] {
    were_gone = !host_.exists("/sys/bus/pci/devices/" + slot_.kGpu) &&
                !host_.exists("/sys/bus/pci/devices/" + slot_.kAudio);
  };
  const Status done = run(SlotMethod::kRescan);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(were_gone);
  for (const std::string& bdf : {slot_.kGpu, slot_.kAudio}) {
    EXPECT_EQ(host_.driver_of(bdf), "vfio-pci");
    EXPECT_EQ(host_.override_of(bdf), "vfio-pci");
  }
  EXPECT_EQ(attribute(slot_.kGpu, "reset_method"), "");
  EXPECT_EQ(attribute(slot_.kAudio, "reset_method"), "flr bus");
  EXPECT_EQ(host_.read(slot_.kPower).value(), "1");
}

// Opening a function resets it by the methods that the kernel has for it then.
TEST_F(SlotCycleTest, MethodsAreBackBeforeTheDriver) {
  host_.file("/sys/bus/pci/devices/" + slot_.kGpu + "/reset_method", "bus\n");
  ASSERT_TRUE(run(SlotMethod::kRescan));
  const auto at = [this](const std::string& text) {
    return std::find_if(host_.writes.begin(), host_.writes.end(), [&text](const auto& entry) {
      return entry.find(text) != std::string::npos;
    });
  };
  ASSERT_NE(at(slot_.kGpu + "/reset_method <- bus"), host_.writes.end());
  EXPECT_LT(at(slot_.kGpu + "/reset_method <- bus"), at("drivers_probe <- " + slot_.kGpu));
}

TEST_F(SlotCycleTest, PowerGoesOffAndOn) {
  bool was_off = false;
  slot_.on_power_off = [&] { was_off = true; };
  const Status done = run(SlotMethod::kPower);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(was_off);
  EXPECT_EQ(host_.driver_of(slot_.kGpu), "vfio-pci");
  EXPECT_THAT(host_.writes, Not(Contains(HasSubstr("/remove"))));
}

TEST_F(SlotCycleTest, BindingOfTheUsersOwnIsAsItWas) {
  host_.file("/sys/bus/pci/devices/" + slot_.kGpu + "/driver_override", "(null)\n");
  ASSERT_TRUE(run(SlotMethod::kRescan));
  EXPECT_EQ(host_.driver_of(slot_.kGpu), "vfio-pci");
  EXPECT_EQ(host_.override_of(slot_.kGpu), "(null)");
}

TEST_F(SlotCycleTest, PowerNeedsASwitch) {
  slot_.set_port(FakeSlot::kRootPort, 0);
  EXPECT_FALSE(cycle().value().check(SlotMethod::kPower));
  EXPECT_TRUE(cycle().value().check(SlotMethod::kRescan));
}

TEST_F(SlotCycleTest, FunctionThatIsNotFoundAgainIsTold) {
  slot_.found = {slot_.kGpu};
  const Status lost = run(SlotMethod::kPower);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(lost.error().to_string(), HasSubstr(slot_.kAudio));
  EXPECT_LE(slept_, milliseconds(5100));
}

// Its Resizable BAR capability loses what was chosen, and the reset's check would find it changed.
TEST_F(SlotCycleTest, SizesOfBarsThatAreLostWithoutPowerArePutBack) {
  host_.add_resizable_bar(slot_.kGpu, 1, 16_GiB, 0x7f00);
  slot_.on_found = [this](const std::string& bdf) {
    if (bdf == slot_.kGpu) {
      host_.add_resizable_bar(bdf, 1, 256_MiB, 0x7f00);
    }
  };
  const Status done = run(SlotMethod::kPower);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(host_.writes, Contains(HasSubstr(slot_.kGpu + "/resource1_resize <- 14")));
  EXPECT_EQ(host_.driver_of(slot_.kGpu), "vfio-pci");
}

TEST_F(SlotCycleTest, SwitchThatDoesNotTellIsSwitchedOnAgain) {
  const auto kernel = host_.kernel;
  host_.kernel = [this, kernel](const std::string& path, const std::string& text) {
    const bool done = kernel(path, text);
    if (path == slot_.kPower) {
      host_.file(slot_.kPower, "1\n");
    }
    return done;
  };
  const Status failed = run(SlotMethod::kPower);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().to_string(), HasSubstr("says 1 after it was switched off"));
  EXPECT_THAT(host_.writes, Contains(slot_.kPower + " <- 1"));
  EXPECT_EQ(host_.driver_of(slot_.kGpu), "vfio-pci") << "all the same";
}

TEST_F(SlotCycleTest, FunctionThatCannotBeRemovedKeepsNoOtherAway) {
  const auto kernel = host_.kernel;
  host_.kernel = [this, kernel](const std::string& path, const std::string& text) {
    return !path.ends_with(slot_.kAudio + "/remove") && kernel(path, text);
  };
  EXPECT_FALSE(run(SlotMethod::kRescan));
  EXPECT_EQ(host_.driver_of(slot_.kGpu), "vfio-pci");
  EXPECT_EQ(host_.override_of(slot_.kGpu), "vfio-pci");
}

TEST_F(SlotCycleTest, RemovalThatNeverComesBackIsGivenUp) {
  const std::string remove = host_.path("/sys/bus/pci/devices/" + slot_.kGpu + "/remove");
  std::filesystem::remove(remove);
  ASSERT_EQ(::mkfifo(remove.c_str(), 0600), 0);
  const Status failed = run(SlotMethod::kRescan);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().to_string(), HasSubstr(slot_.kGpu + "/remove has slept for 180 s"));
  EXPECT_THAT(host_.writes, Not(Contains(HasSubstr("/rescan"))));
}

TEST_F(SlotCycleTest, VirtualFunctionsAreNotTakenOut) {
  host_.link("/sys/bus/pci/devices/" + slot_.kAudio + "/physfn", "../" + slot_.kGpu);
  const auto refused = cycle();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("virtual"));
}

// Ctrl-C would leave the host without the card.
TEST_F(SlotCycleTest, SignalsWaitUntilTheFunctionsAreBack) {
  const auto is_blocked = [] {
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return ::sigismember(&now, SIGINT) == 1;
  };
  bool were_blocked = false;
  slot_.on_power_off = [&] { were_blocked = is_blocked(); };
  ASSERT_TRUE(run(SlotMethod::kPower));
  EXPECT_TRUE(were_blocked);
  EXPECT_FALSE(is_blocked());
}

// The next rung works on what the one before has left.
TEST_F(SlotCycleTest, RescanFindsWhatAPowerCycleLost) {
  slot_.found = {slot_.kGpu};
  auto slot = cycle().value();
  EXPECT_FALSE(slot.run(SlotMethod::kPower, [](milliseconds) {}));
  slot_.found = {slot_.kGpu, slot_.kAudio};
  EXPECT_TRUE(slot.run(SlotMethod::kRescan, [](milliseconds) {}));
  EXPECT_EQ(host_.driver_of(slot_.kAudio), "vfio-pci");
}

}  // namespace
}  // namespace gpuvm::slot_cycle_test
