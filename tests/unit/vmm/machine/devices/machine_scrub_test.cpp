// SPDX-License-Identifier: Apache-2.0
// When a card's memory is overwritten, what a failure of that does to the card, and what a crash
// leaves owed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "tests/unit/vmm/owner/noting_owner.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm::machine_scrub_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kCard = "0000:01:00.0";
const std::string kRecord = "/run/gpuvm/0000:01:00.0.state";
constexpr unsigned kMemory = 1;  // prefetchable in gt710_config()
constexpr int kSecret = 0x6b;

class MachineScrubTest : public testing::Test {
 protected:
  MachineScrubTest() {
    fakes_.host.directory("/run/gpuvm");
    auto& function = fakes_.add(kCard, test::gt710_config(), 0, 0,
                                [this](test::FakePhysicalDevice& device) { furnish(device); });
    function.reset.settle = std::chrono::milliseconds(0);
  }
  void furnish(test::FakePhysicalDevice& device) {
    device.set_config(0x00, 0x56781234);  // in no row of the policy table
    device.set_config(0x0c, 0x00000010);
    device.add_bar(0, 64_KiB);
    device.add_bar(kMemory, 2_MiB);
    if (is_closed_) {
      device.edit_region(kMemory).sparse_areas = {{.offset = 0, .size = 4096}};
    }
    card_ = &device;
    leave_secret();
  }
  void leave_secret() {
    const auto window = card_->map(bar_region(kMemory), {.offset = 0, .size = 2_MiB}, 0).value();
    std::memset(window.data(), kSecret, 2_MiB);
  }
  bool has_secret() {
    const auto bytes = card_->bar_bytes(kMemory, 0, 2_MiB);
    return std::memchr(bytes.data(), kSecret, bytes.size()) != nullptr;
  }
  std::unique_ptr<HostDevices> open(std::optional<ScrubChoice> choice) {
    fakes_.functions.front().scrub = std::move(choice);
    auto claims = DeviceClaims::take(fakes_.host, {bdf_of(kCard)}, "the guest main");
    EXPECT_TRUE(claims) << claims.error().to_string();
    auto devices = HostDevices::create(fakes_.host, fakes_.functions, std::move(claims).value(),
                                       fakes_.openers());
    EXPECT_TRUE(devices) << devices.error().to_string();
    return std::move(devices).value();
  }
  MachineReset::OnReset note() {
    return [this](ResetReason, const ResetCertificate& certificate) {
      certificates_.push_back(certificate);
    };
  }
  std::string record() const { return fakes_.host.read(kRecord).value(); }

  test::FakeDevices fakes_;
  test::FakePhysicalDevice* card_ = nullptr;
  bool is_closed_ = false;
  std::vector<ResetCertificate> certificates_;
};

TEST_F(MachineScrubTest, AtTheStopAndNotBefore) {
  const auto devices = open(ScrubChoice{});
  MachineReset reset(*devices, note());
  for (const ResetReason reason : {ResetReason::kStart, ResetReason::kReboot}) {
    const Status done = reset.run(reason);
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_TRUE(has_secret());
    EXPECT_THAT(certificates_.back().scrub, IsEmpty());
    EXPECT_THAT(record(), HasSubstr("scrub=vram 600\n")) << "what a crash leaves";
  }
  const Status done = reset.run(ResetReason::kStop);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_FALSE(has_secret());
  EXPECT_EQ(certificates_.back().verdict, ResetVerdict::kVerified);
  EXPECT_THAT(certificates_.back().scrub,
              HasSubstr("2097152 of 2097152 bytes of BAR 1 overwritten with zeroes"));
  EXPECT_THAT(record(), Not(HasSubstr("scrub=")));
  EXPECT_THAT(devices->claims().dirty(), IsEmpty());
}

// An owner that is a process of its own overwrites it after the monitor's end, whatever that did.
TEST_F(MachineScrubTest, OfFunctionsWithAKeeperItIsTheKeepersToDo) {
  const auto devices = open(ScrubChoice{});
  MachineReset reset(*devices, note());
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  test::NotingOwner owner;
  ASSERT_TRUE(devices->hand_over(owner));
  ASSERT_TRUE(reset.run(ResetReason::kStop));
  EXPECT_TRUE(has_secret());
  EXPECT_EQ(certificates_.back().verdict, ResetVerdict::kVerified);
  EXPECT_THAT(certificates_.back().scrub, IsEmpty());
  EXPECT_THAT(record(), HasSubstr("scrub=vram 600\n")) << "which the keeper reads";
}

TEST_F(MachineScrubTest, WithoutTheKeyNothingIsTouched) {
  const auto devices = open(std::nullopt);
  MachineReset reset(*devices, note());
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  ASSERT_TRUE(reset.run(ResetReason::kStop));
  EXPECT_TRUE(has_secret());
  EXPECT_THAT(certificates_.back().scrub, IsEmpty());
}

// The next guest's configuration may know nothing of it.
TEST_F(MachineScrubTest, WhatAKilledGpuvmOwesComesBeforeTheNextGuest) {
  for (const ResetReason reason : {ResetReason::kStart, ResetReason::kRepair}) {
    const DeviceRecord left{.owner = "the guest before",
                            .pid = 1,
                            .dirty = "it was killed",
                            .looks = "",
                            .scrub = "vram 5 1"};
    fakes_.host.file(kRecord, left.to_text());
    const auto devices = open(std::nullopt);
    MachineReset reset(*devices, note());
    const Status done = reset.run(reason);
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_FALSE(has_secret());
    EXPECT_THAT(certificates_.back().scrub, HasSubstr("2097152 of 2097152"));
    EXPECT_THAT(record(), Not(HasSubstr("scrub=")));
    ASSERT_TRUE(reset.run(ResetReason::kStop));
  }
}

TEST_F(MachineScrubTest, ACardWhoseMemoryTakesNoWritesGoesToNobody) {
  is_closed_ = true;
  const auto devices = open(ScrubChoice{});
  MachineReset reset(*devices, note());
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  const Status stopped = reset.run(ResetReason::kStop);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(stopped.error().to_string(),
              AllOf(HasSubstr("BAR 1 takes no writes"), HasSubstr("`gpuvm reset " + kCard + "`"),
                    HasSubstr("`gpuvm unbind --force`")));
  EXPECT_THAT(certificates_.back().scrub, HasSubstr("2097152 take no writes"));
  EXPECT_THAT(record(), AllOf(HasSubstr("reset=failed"), HasSubstr("scrub=vram 600")));
  // The reset was well: no power cycle and no rescan is due.
  fakes_.history.clear();
  const Status recovered = reset.recover(ResetReason::kStart, reset.run(ResetReason::kStart));
  EXPECT_FALSE(recovered);
  EXPECT_THAT(fakes_.history, Not(Contains("close vfio")));
}

TEST_F(MachineScrubTest, ABarThatIsNoMemoryIsToldBeforeTheGuestRuns) {
  for (const unsigned bar : {0U, 5U}) {
    const auto devices = open(ScrubChoice{.bars = {bar}});
    MachineReset reset(*devices, note());
    const Status refused = reset.run(ResetReason::kStart);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kConfig);
    EXPECT_THAT(refused.error().to_string(), HasSubstr("correct scrub_bars"));
    EXPECT_THAT(certificates_, IsEmpty());
    EXPECT_THAT(devices->claims().dirty(), IsEmpty());
  }
}

TEST_F(MachineScrubTest, AGuestThatEndsInItsRebootHasItsMemoryOverwritten) {
  const auto devices = open(ScrubChoice{.bars = {kMemory}});
  MachineReset reset(*devices, note());
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  ASSERT_TRUE(reset.run(ResetReason::kReboot));
  ASSERT_TRUE(reset.release());
  EXPECT_FALSE(has_secret());
  EXPECT_THAT(devices->claims().dirty(), IsEmpty());
}

TEST_F(MachineScrubTest, AStartThatNoGuestCameOfOverwritesNothing) {
  const auto devices = open(ScrubChoice{});
  MachineReset reset(*devices, note());
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  ASSERT_TRUE(reset.release());
  EXPECT_TRUE(has_secret());
  EXPECT_THAT(record(), Not(HasSubstr("scrub=")));
}

}  // namespace
}  // namespace gpuvm::machine_scrub_test
