// SPDX-License-Identifier: Apache-2.0
// A monitor starts, hands over and is gone; the owner brings the functions back. Both are objects
// of this process, over a made-up host; split_process_test.cpp has real processes.
#include "vmm/machine/owner/host_owner.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/host/fake_slot.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm::host_owner_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// To whom nothing but functions is handed over.
class HandOver : public Owner {
 public:
  Status hold_state(const std::string&, UniqueFd) override { return {}; }
  Result<std::uint32_t> declare_file(const std::string&, FileUse) override { return 0U; }
  Status guest_runs() override { return {}; }
  Status mark_failed(const Bdf&, std::string_view) override { return {}; }
  Status check_link(const Bdf&) override { return {}; }
  Status retrain_link(const Bdf&) override { return {}; }
  Status replace_file(std::uint32_t, std::span<const std::byte>) override { return {}; }
  Result<UniqueFd> open_file(std::uint32_t) override { return UniqueFd(); }
};

class HostOwnerTest : public testing::Test {
 protected:
  HostOwnerTest() {
    for (const std::string& bdf : {slot_.kGpu, slot_.kAudio}) {
      slot_.find(bdf);
      auto& function = fakes_.add(bdf, test::gt710_config(), 0, bdf == slot_.kGpu ? 0 : 1,
                                  [this](test::FakePhysicalDevice& device) {
                                    device.set_config(0x00, 0x56781234);  // in no row of the table
                                    device.set_config(0x0c, is_broken_ ? 0x00020010 : 0x00800010);
                                    device.on_function_reset = [this] {
                                      fakes_.history.push_back("reset");
                                      return Status();
                                    };
                                  });
      function.reset.settle = std::chrono::milliseconds(0);
    }
    owner_ = make_owner();
  }
  std::unique_ptr<HostOwner> make_owner() {
    auto openers = fakes_.openers();
    openers.sleep = [](std::chrono::milliseconds) {};
    return std::make_unique<HostOwner>(fakes_.host, std::move(openers), "main");
  }
  /// As a monitor is before its guest runs: its functions are its own, reset, and marked.
  void start_monitor() {
    auto claims = DeviceClaims::take(fakes_.host, {bdf_of(slot_.kGpu), bdf_of(slot_.kAudio)},
                                     claim_owner("main"));
    ASSERT_TRUE(claims) << claims.error().to_string();
    auto openers = fakes_.openers();
    openers.sleep = [](std::chrono::milliseconds) {};
    auto devices = HostDevices::create(fakes_.host, fakes_.functions, std::move(*claims), openers);
    ASSERT_TRUE(devices) << devices.error().to_string();
    devices_ = std::move(*devices);
    reset_ = std::make_unique<MachineReset>(*devices_);
    const auto done = reset_->run(ResetReason::kStart);
    ASSERT_TRUE(done) << done.error().to_string();
  }
  void hand_over() {
    const auto done = devices_->hand_over(*owner_);
    ASSERT_TRUE(done) << done.error().to_string();
    ASSERT_TRUE(owner_->guest_runs());
  }
  void end_monitor() {
    reset_.reset();
    devices_.reset();
  }
  bool has_record(const std::string& suffix) const {
    return fakes_.host.exists("/run/gpuvm/" + slot_.kGpu + suffix);
  }
  ResetHistory resets() const {
    return read_reset_history(fakes_.host, bdf_of(slot_.kGpu)).value_or(ResetHistory{});
  }
  std::string dirty() const {
    const auto record = read_device_record(fakes_.host, bdf_of(slot_.kGpu));
    return record ? record->dirty : "";
  }

  test::FakeDevices fakes_;
  FakeSlot slot_{fakes_.host};
  bool is_broken_ = false;
  std::unique_ptr<HostOwner> owner_;
  std::unique_ptr<HostDevices> devices_;
  std::unique_ptr<MachineReset> reset_;
};

TEST_F(HostOwnerTest, BringsBackWhatAMonitorLeft) {
  start_monitor();
  hand_over();
  EXPECT_EQ(dirty(), "the guest main had it when gpuvm ended");
  end_monitor();
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "vfio-pci") << "the monitor gives nothing back";
  EXPECT_EQ(dirty(), "the guest main had it when gpuvm ended");
  fakes_.history.clear();
  const auto back = owner_->give_back(0);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_THAT(fakes_.history, Contains("open vfio"));
  EXPECT_THAT(fakes_.history, Contains("reset"));
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "nouveau");
  EXPECT_EQ(fakes_.host.driver_of(slot_.kAudio), "nouveau");
  EXPECT_FALSE(has_record(".state"));
  EXPECT_FALSE(has_record(".binding"));
  EXPECT_EQ(resets().count, 2U);
  EXPECT_EQ(resets().notes.back().reason, "stop");
  EXPECT_EQ(resets().notes.back().owner, "the guest main");
}

TEST_F(HostOwnerTest, ThatOfAKilledOneIsARepair) {
  start_monitor();
  hand_over();
  end_monitor();
  ASSERT_TRUE(owner_->give_back(::getpid()));
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "nouveau");
  EXPECT_EQ(resets().notes.back().reason, "repair");
}

// A monitor that was taken over says that all is well.
TEST_F(HostOwnerTest, DoesNotBelieveTheMonitor) {
  start_monitor();
  hand_over();
  ASSERT_TRUE(reset_->run(ResetReason::kStop)) << "verified, in the monitor's words";
  EXPECT_EQ(resets().count, 1U) << "which are not in the card's history";
  EXPECT_EQ(dirty(), "the guest main had it when gpuvm ended") << "its mark stays all the same";
  ASSERT_TRUE(reset_->release());
  EXPECT_NE(dirty(), "");
  end_monitor();
  is_broken_ = true;  // and it is not
  const auto back = owner_->give_back(0);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "vfio-pci");
  EXPECT_NE(dirty(), "");
  EXPECT_TRUE(has_record(".binding")) << "for gpuvm reset";
}

TEST_F(HostOwnerTest, AFailedResetIsNotedAndHowItLookedStaysKnown) {
  start_monitor();
  hand_over();
  const auto before = read_device_record(fakes_.host, bdf_of(slot_.kGpu)).value();
  ASSERT_FALSE(before.looks.empty());
  ASSERT_TRUE(devices_->claims().mark_dirty(slot_.kGpu, "no answer\nowner=x", "made up",
                                            DirtCause::kFailedReset));
  const auto after = read_device_record(fakes_.host, bdf_of(slot_.kGpu)).value();
  EXPECT_EQ(after.dirty, "no answer owner=x");
  EXPECT_EQ(after.looks, before.looks);
  EXPECT_EQ(after.cause, DirtCause::kFailedReset);
  ASSERT_TRUE(devices_->claims().mark_dirty(slot_.kGpu, "again in use", "made up"));
  EXPECT_EQ(dirty(), "no answer owner=x");
  end_monitor();
  EXPECT_TRUE(owner_->give_back(0));
}

TEST_F(HostOwnerTest, NobodyElseGetsAFunctionInBetween) {
  start_monitor();
  hand_over();
  end_monitor();
  const auto other = DeviceClaims::take(fakes_.host, {bdf_of(slot_.kGpu)}, "the guest other");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("belongs to the guest main (gpuvm, pid"));
  ASSERT_TRUE(owner_->give_back(0));
  EXPECT_TRUE(DeviceClaims::take(fakes_.host, {bdf_of(slot_.kGpu)}, "the guest other"));
}

TEST_F(HostOwnerTest, TheLinkIsTrainedAgainThroughTheOwner) {
  start_monitor();
  hand_over();
  PhysicalDevice& device = *devices_->devices().front();
  constexpr std::size_t kLinkControl = FakeSlot::kExpress + 0x10;
  const auto is_retrained = [this] {
    const auto port = fakes_.host.read_bytes(pci_sysfs_path(bdf_of(slot_.kPort), "config"), 256);
    return (std::to_integer<unsigned>(port.value().at(kLinkControl)) & 0x20U) != 0;
  };
  EXPECT_TRUE(devices_->host().check_link_retrain(device)) << "the fake host itself offers none";
  EXPECT_FALSE(is_retrained());
  const auto retrained = devices_->host().retrain_link(device);
  ASSERT_TRUE(retrained) << retrained.error().to_string();
  EXPECT_TRUE(is_retrained());
  EXPECT_FALSE(owner_->retrain_link(bdf_of("0000:02:00.0"))) << "not handed over";
  end_monitor();
  EXPECT_TRUE(owner_->give_back(0));
}

TEST_F(HostOwnerTest, TakesNoOtherFiles) {
  start_monitor();
  HeldFunction held;
  held.bdf = bdf_of(slot_.kGpu);
  const auto open = [this](const std::string& path, int flags) {
    return UniqueFd(::open(fakes_.host.path(path).c_str(), flags | O_CLOEXEC));
  };
  fakes_.host.file("/run/gpuvm/other.state", "owner=\npid=0\ndirty=\nlooks=\nend\n");
  EXPECT_FALSE(owner_->hold_function(held, open("/run/gpuvm/other.state", O_RDWR), UniqueFd()));
  const std::string state = "/run/gpuvm/" + slot_.kGpu + ".state";
  EXPECT_FALSE(owner_->hold_function(held, open(state, O_RDONLY), UniqueFd()))
      << "it could not be written";
  EXPECT_FALSE(owner_->hold_function(held, open(state, O_RDWR), UniqueFd()))
      << "the lock is the monitor's open file's, not this one's";
  EXPECT_FALSE(owner_->hold_state("other2.state", open("/run/gpuvm/other.state", O_RDWR)));
  EXPECT_FALSE(owner_->hold_state("../passwd", open("/run/gpuvm/other.state", O_RDWR)));
  held.reset_method = 200;
  EXPECT_FALSE(owner_->hold_function(held, UniqueFd(), UniqueFd()));
  end_monitor();
  EXPECT_TRUE(owner_->give_back(0)) << "it has nothing";
}

TEST_F(HostOwnerTest, StateFilesGoAtTheEnd) {
  const std::string state = "/run/gpuvm/socket-1-2.state";
  fakes_.host.file(state, "owner=\npid=0\ndirty=\nlooks=\nend\n");
  UniqueFd file(::open(fakes_.host.path(state).c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(owner_->hold_state("socket-1-2.state", std::move(file)));
  ASSERT_TRUE(owner_->guest_runs());
  EXPECT_FALSE(owner_->hold_state("socket-1-2.state", UniqueFd())) << "too late";
  EXPECT_TRUE(owner_->give_back(0));
  EXPECT_FALSE(fakes_.host.exists(state));
}

// A start that is killed has handed nothing over: what it left on disk says what to do.
TEST_F(HostOwnerTest, AMonitorThatIsKilledWhileItStarts) {
  start_monitor();
  // Its files stay as they are and its locks go, as with its process.
  for (const std::string& bdf : {slot_.kGpu, slot_.kAudio}) {
    devices_->claims().hand_over(bdf_of(bdf)).reset();
  }
  struct Gone final : HandOver {
    Status hold_function(const HeldFunction&, UniqueFd, UniqueFd) override { return {}; }
  } gone;
  ASSERT_TRUE(devices_->hand_over(gone));
  end_monitor();
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "vfio-pci");
  EXPECT_TRUE(owner_->give_back(::getpid() + 1)) << "not one that it made: nothing is repaired";
  EXPECT_NE(dirty(), "");
  owner_ = make_owner();
  const auto back = owner_->give_back(::getpid());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "nouveau");
  EXPECT_EQ(fakes_.host.driver_of(slot_.kAudio), "nouveau");
  EXPECT_FALSE(has_record(".state"));
  EXPECT_FALSE(has_record(".binding"));
}

// Killed in the middle of the hand-over: one function of a slot is the owner's, the other nobody's.
TEST_F(HostOwnerTest, AMonitorThatIsKilledWhileItHandsOver) {
  start_monitor();
  struct Half final : HandOver {
    explicit Half(Owner& real) : owner(real) {}
    Status hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) override {
      return count++ == 0 ? owner.hold_function(function, std::move(claim), std::move(binding))
                          : Status(fail(ErrorKind::kHost, "Killed"));
    }
    Owner& owner;
    int count = 0;
  } half(*owner_);
  ASSERT_FALSE(devices_->hand_over(half));
  end_monitor();
  fakes_.history.clear();
  const auto back = owner_->give_back(::getpid());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(std::count(fakes_.history.begin(), fakes_.history.end(), "open vfio"), 1);
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "nouveau");
  EXPECT_EQ(fakes_.host.driver_of(slot_.kAudio), "nouveau");
  EXPECT_THAT(recorded_devices(fakes_.host), IsEmpty());
}

// The owner takes so many functions and refuses the next, and the monitor ends by itself: it has
// let go of all of them.
TEST_F(HostOwnerTest, AHandOverThatFailsLeavesNoFunctionBehind) {
  struct Picky final : HandOver {
    Picky(Owner& real, int count) : owner(real), left(count) {}
    Status hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) override {
      return left-- > 0 ? owner.hold_function(function, std::move(claim), std::move(binding))
                        : owner.hold_function(function, std::move(binding), UniqueFd());
    }
    Owner& owner;
    int left;
  };
  for (const int taken : {0, 1}) {
    SCOPED_TRACE(taken);
    owner_ = make_owner();
    start_monitor();
    Picky picky(*owner_, taken);
    ASSERT_FALSE(devices_->hand_over(picky));
    EXPECT_TRUE(reset_->run(ResetReason::kStop)) << "as at the end of a start that failed";
    EXPECT_TRUE(reset_->release());
    end_monitor();
    const auto back = owner_->give_back(0);
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "nouveau");
    EXPECT_EQ(fakes_.host.driver_of(slot_.kAudio), "nouveau");
    EXPECT_THAT(recorded_devices(fakes_.host), IsEmpty());
  }
}

TEST_F(HostOwnerTest, AClaimOfAStartThatWasKilledGoes) {
  const std::string file = "/run/gpuvm/" + slot_.kGpu + ".state";
  fakes_.host.file(file, DeviceRecord{.owner = "the guest main", .pid = 77}.to_text());
  EXPECT_TRUE(owner_->give_back(78));
  EXPECT_TRUE(fakes_.host.exists(file)) << "another process's";
  EXPECT_TRUE(owner_->give_back(77));
  EXPECT_FALSE(fakes_.host.exists(file));
}

// One that ended by itself has given back what it could; the rest is for gpuvm reset.
TEST_F(HostOwnerTest, AStartThatFailedIsTheMonitorsToEnd) {
  start_monitor();
  ASSERT_TRUE(reset_->release());
  end_monitor();
  fakes_.history.clear();
  EXPECT_TRUE(owner_->give_back(0));
  EXPECT_THAT(fakes_.history, Not(Contains("open vfio")));
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "nouveau");
}

}  // namespace
}  // namespace gpuvm::host_owner_test
