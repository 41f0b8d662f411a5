// SPDX-License-Identifier: Apache-2.0
// What is tried with closed functions where no reset helps: over a made-up slot whose card has a
// fault that only some of it cures.
#include "vmm/machine/devices/machine_reset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/host/fake_slot.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::machine_reset_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint64_t kPlace = 0xe8000000;

enum class Cure { kNone, kPower, kRescan };

class MachineResetTest : public testing::Test {
 protected:
  MachineResetTest() {
    for (const std::string& bdf : {slot_.kGpu, slot_.kAudio}) {
      slot_.find(bdf);
      auto& function =
          fakes_.add(bdf, test::gt710_config(), 0, bdf == slot_.kGpu ? 0 : 1,
                     [this](test::FakePhysicalDevice& device) {
                       device.set_config(0x00, 0x56781234);  // in no row of the table
                       device.set_config(0x0c, is_broken_ ? 0x00020010 : 0x00800010);
                       device.places = {{{.bar = 1, .host = kPlace, .hardware = hardware_}}};
                       device.on_function_reset = [this, &device] {
                         device.set_config(0x0c, is_broken_ ? 0x00020010 : 0x00800010);
                         return Status();
                       };
                     });
      function.reset.settle = std::chrono::milliseconds(0);
    }
    fakes_.host.on_write = [this](const std::string& path) {
      if (path.ends_with("/remove") || path == slot_.kPower) {
        fakes_.history.push_back(path.substr(path.find_last_of('/') + 1));
      }
    };
    slot_.on_power_off = [this] { is_broken_ = is_broken_ && cure_ != Cure::kPower; };
    slot_.on_rescan = [this] { is_broken_ = is_broken_ && cure_ != Cure::kRescan; };
  }
  std::unique_ptr<HostDevices> open() {
    auto openers = fakes_.openers();
    openers.sleep = [](std::chrono::milliseconds) {};
    return HostDevices::create(fakes_.host, fakes_.functions, {}, openers).value();
  }
  MachineReset::OnReset note() {
    return [this](ResetReason, const ResetCertificate& certificate) {
      events_.push_back(
          fmt::format("{}: {}", to_string(certificate.method), to_string(certificate.verdict)));
    };
  }
  /// A reset of devices that were well and then broke.
  Status start(MachineReset& reset) {
    EXPECT_TRUE(reset.plan());
    is_broken_ = true;
    fakes_.history.clear();
    return reset.recover(ResetReason::kStart, reset.run(ResetReason::kStart));
  }

  test::FakeDevices fakes_;
  FakeSlot slot_{fakes_.host};
  bool is_broken_ = false;
  std::uint64_t hardware_ = kPlace;  ///< what BAR 1's register holds
  Cure cure_ = Cure::kNone;
  std::vector<std::string> events_;
};

TEST_F(MachineResetTest, PowerCycleOpensALockThatNoResetDoes) {
  cure_ = Cure::kPower;
  const auto devices = open();
  MachineReset reset(*devices, note());
  const Status done = start(reset);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(fakes_.history, ElementsAre("close vfio", "power", "power", "open vfio"));
  EXPECT_THAT(events_, Contains("function reset: failed"));
  EXPECT_EQ(events_.back(), "slot power cycle: verified");
  EXPECT_EQ(devices->devices().size(), 2U);
  EXPECT_EQ(fakes_.host.driver_of(slot_.kGpu), "vfio-pci");
}

// What health checks of many hosts read.
TEST_F(MachineResetTest, HistoryOfTheCardSaysThatItTookMoreThanUsual) {
  auto& host = fakes_.host;
  host.directory("/run/gpuvm");
  auto claims = DeviceClaims::take(host, {bdf_of(slot_.kGpu), bdf_of(slot_.kAudio)}, "the test");
  ASSERT_TRUE(claims) << claims.error().to_string();
  auto openers = fakes_.openers();
  openers.sleep = [](std::chrono::milliseconds) {};
  const auto devices = HostDevices::create(host, fakes_.functions, std::move(*claims), openers);
  ASSERT_TRUE(devices) << devices.error().to_string();
  MachineReset reset(**devices, note());
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  const auto well = read_reset_history(host, bdf_of(slot_.kGpu));
  ASSERT_TRUE(well);
  EXPECT_EQ(well->count, 1U);
  EXPECT_EQ(well->harder, 0U);
  cure_ = Cure::kPower;
  is_broken_ = true;
  ASSERT_TRUE(reset.recover(ResetReason::kStart, reset.run(ResetReason::kStart)));
  const auto history = read_reset_history(host, bdf_of(slot_.kGpu));
  ASSERT_TRUE(history);
  EXPECT_EQ(history->harder, 1U);
  EXPECT_EQ(history->failed, 1U);
  const ResetNote& last = history->notes.back();
  EXPECT_EQ(last.method, "slot power cycle");
  EXPECT_EQ(last.usual, "function reset");
  EXPECT_EQ(last.verdict, "verified");
  EXPECT_EQ(last.owner, "the test");
  EXPECT_EQ(last.reason, "start");
  EXPECT_THAT(last.functions, HasSubstr(slot_.kGpu));
}

// A guest with resize_bar was killed: how the function looked then, with a BAR of 16 GiB, is not
// how it looks once the host's kernel has given the BAR its old size.
TEST_F(MachineResetTest, BarThatHasItsOldSizeAgainAfterACrashIsNoFault) {
  FunctionState looked = [this] {
    const auto devices = open();
    return read_function_state(*devices->devices().front()).value();
  }();
  looked.region_sizes[1] = 16_GiB;
  const DeviceRecord record{
      .owner = "the guest main", .pid = 1, .dirty = "it was killed", .looks = to_text(looked)};
  auto& host = fakes_.host;
  host.file("/run/gpuvm/" + slot_.kGpu + ".state", record.to_text());
  host.file("/run/gpuvm/" + slot_.kGpu + ".binding",
            "driver=nouveau\ndriver_override=\nbar_size_1=268435456\nend\n");
  host.add_resizable_bar(slot_.kGpu, 1, 16_GiB, 0x7f00);
  host.attach(slot_.kGpu, "vfio-pci");
  auto claims = DeviceClaims::take(host, {bdf_of(slot_.kGpu), bdf_of(slot_.kAudio)}, "the test");
  ASSERT_TRUE(claims) << claims.error().to_string();
  const auto devices =
      HostDevices::create(host, fakes_.functions, std::move(*claims), fakes_.openers());
  ASSERT_TRUE(devices) << devices.error().to_string();
  EXPECT_TRUE((*devices)->has_resized(slot_.kGpu));
  MachineReset reset(**devices);
  const Status done = reset.run(ResetReason::kRepair);
  EXPECT_TRUE(done) << done.error().to_string();
  EXPECT_THAT((*devices)->claims().dirty(), IsEmpty());
}

// As a slot leaves a card that was without power: VFIO shows it as it was, each reset goes through,
// and what a guest writes goes nowhere.
TEST_F(MachineResetTest, CardWithoutBarRegistersIsFoundAnewFirst) {
  hardware_ = 0;
  slot_.on_rescan = [this] { hardware_ = kPlace; };
  const auto devices = open();
  MachineReset reset(*devices, note());
  fakes_.history.clear();
  const Status failed = reset.run(ResetReason::kStart);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().to_string(),
              AllOf(HasSubstr("BAR 1 is at 0x0 and not at 0xe8000000"),
                    HasSubstr("`gpuvm reset --first rescan"), Not(HasSubstr("Reboot the host"))));
  const Status done = reset.recover(ResetReason::kStart, failed);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(fakes_.history, ElementsAre("close vfio", "remove", "remove", "open vfio"));
  EXPECT_EQ(events_.back(), "removal and rescan: verified");
}

TEST_F(MachineResetTest, RescanFollowsAPowerCycleThatDidNotHelp) {
  cure_ = Cure::kRescan;
  const auto devices = open();
  MachineReset reset(*devices, note());
  ASSERT_TRUE(start(reset));
  EXPECT_THAT(fakes_.history, ElementsAre("close vfio", "power", "power", "open vfio", "close vfio",
                                          "remove", "remove", "open vfio"));
  EXPECT_THAT(events_, Contains("slot power cycle: failed"));
  EXPECT_EQ(events_.back(), "removal and rescan: verified");
}

TEST_F(MachineResetTest, RescanAloneWhereTheSlotHasNoSwitch) {
  slot_.set_port(FakeSlot::kRootPort, 0);
  const auto devices = open();
  MachineReset reset(*devices, note());
  const Status failed = start(reset);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(failed.error().to_string(),
              AllOf(HasSubstr("No slot power cycle: the slot below the port 0000:00:01.0 has no"),
                    HasSubstr("After a removal and rescan: "), HasSubstr("header type")));
  EXPECT_THAT(fakes_.history, Not(Contains("power")));
  EXPECT_EQ(events_.back(), "removal and rescan: failed");
}

TEST_F(MachineResetTest, CardThatIsNotFoundAgainLeavesAllClosed) {
  slot_.found = {slot_.kGpu};
  const auto devices = open();
  MachineReset reset(*devices, note());
  const Status failed = start(reset);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(failed.error().to_string(), HasSubstr(slot_.kAudio));
  EXPECT_THAT(devices->devices(), IsEmpty());
  InspectNode node;
  reset.inspect(node);  // of no device that is gone
}

TEST_F(MachineResetTest, PortThatOthersUseIsLeftAlone) {
  fakes_.functions.pop_back();
  const auto devices = open();
  MachineReset reset(*devices, note());
  EXPECT_FALSE(start(reset));
  EXPECT_THAT(fakes_.history, IsEmpty());
}

TEST_F(MachineResetTest, WhoChoseAResetGetsNoOther) {
  for (HostFunction& function : fakes_.functions) {
    function.reset.method = ResetMethod::kFunctionReset;
  }
  const auto devices = open();
  MachineReset reset(*devices, note());
  EXPECT_FALSE(start(reset));
  EXPECT_THAT(fakes_.history, IsEmpty());
}

TEST_F(MachineResetTest, MethodThatWasAskedForComesFirst) {
  const auto devices = open();
  MachineReset reset(*devices, note());
  fakes_.history.clear();
  ASSERT_TRUE(reset.run_closed(SlotMethod::kPower, ResetReason::kRepair));
  EXPECT_THAT(fakes_.history, ElementsAre("close vfio", "power", "power", "open vfio"));
  slot_.set_port(FakeSlot::kRootPort, 0);
  fakes_.history.clear();
  const Status impossible = reset.run_closed(SlotMethod::kPower, ResetReason::kRepair);
  ASSERT_FALSE(impossible);
  EXPECT_EQ(impossible.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(fakes_.history, IsEmpty());
}

// The kernel's own choice of methods may hang the card that it finds anew.
TEST_F(MachineResetTest, MethodsOfTheKernelAreAsTheUserLeftThem) {
  fakes_.host.file("/sys/bus/pci/devices/" + slot_.kGpu + "/reset_method", "bus\n");
  const auto devices = open();
  MachineReset reset(*devices, note());
  ASSERT_TRUE(reset.run_closed(SlotMethod::kRescan, ResetReason::kRepair));
  EXPECT_EQ(fakes_.host.read("/sys/bus/pci/devices/" + slot_.kGpu + "/reset_method").value(),
            "bus");
}

}  // namespace
}  // namespace gpuvm::machine_reset_test
