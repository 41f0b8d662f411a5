// SPDX-License-Identifier: Apache-2.0
// The functions that a guest owns: bound, opened, opened again and given back, over fakes.
#include "vmm/machine/devices/host_devices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm::host_devices_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kGpu = "0000:01:00.0";
const std::string kUsb = "0000:02:00.0";
const std::string kSocket = "/run/gpu.sock";

std::vector<std::string> names_of(const std::vector<PhysicalDevice*>& devices) {
  std::vector<std::string> names;
  for (const PhysicalDevice* const device : devices) {
    names.push_back(device->name());
  }
  return names;
}

class HostDevicesTest : public testing::Test {
 protected:
  void add_two() {
    fakes_.add(kGpu, test::gt710_config(), 0, 0);
    fakes_.add(kUsb, test::upd720200_config(), 1, 0);
  }
  test::FakeDevices fakes_;
};

TEST_F(HostDevicesTest, BindsThenOpensAndClosesBeforeItGivesBack) {
  add_two();
  {
    const auto devices = fakes_.create();
    ASSERT_TRUE(devices) << devices.error().to_string();
    EXPECT_EQ(fakes_.host.driver_of(kGpu), "vfio-pci");
    EXPECT_EQ(fakes_.history.back(), "open vfio") << "after all are bound";
    EXPECT_THAT(names_of((*devices)->devices()), ElementsAre(kGpu, kUsb));
    EXPECT_NE((*devices)->peer_host(), nullptr);
    fakes_.history.clear();
  }
  ASSERT_FALSE(fakes_.history.empty());
  EXPECT_EQ(fakes_.history.front(), "close vfio") << "the kernel's unbind would wait for it";
  EXPECT_EQ(fakes_.host.driver_of(kGpu), "nouveau");
  EXPECT_EQ(fakes_.host.driver_of(kUsb), "nouveau");
}

// A VGA controller's frame buffer is vfio-pci's to remove; where it did not, nothing is opened.
TEST_F(HostDevicesTest, FrameBufferThatVfioLeftIsFoundBeforeItIsOpened) {
  add_two();
  fakes_.host.file(
      "/sys/bus/pci/devices/" + kGpu + "/resource",
      "0x00000000e0000000 0x00000000efffffff 0x0000000000042208\n" + [] {
        std::string none;
        for (int i = 0; i < 6; ++i) {
          none += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
        }
        return none;
      }());
  fakes_.host.file("/proc/iomem",
                   "e0000000-efffffff : " + kGpu + "\n  e0000000-e07fffff : efifb\n");
  EXPECT_THAT(open_advice(fakes_.host, *Bdf::parse(kGpu)),
              ElementsAre(HasSubstr("efifb at 0xe0000000")));
  const auto devices = fakes_.create();
  ASSERT_FALSE(devices);
  EXPECT_THAT(devices.error().to_string(), HasSubstr("efifb at 0xe0000000"));
  EXPECT_EQ(devices.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(fakes_.history, testing::Not(testing::Contains("open vfio")));
  EXPECT_EQ(fakes_.host.driver_of(kGpu), "nouveau");
  EXPECT_EQ(fakes_.host.driver_of(kUsb), "nouveau");
  fakes_.host.file("/proc/iomem", "e0000000-efffffff : " + kGpu + "\n");
  EXPECT_TRUE(fakes_.create());
}

TEST_F(HostDevicesTest, FunctionOfTheUsersOwnBindingKeepsItsDriver) {
  fakes_.add(kGpu, test::gt710_config(), 0, 0).managed = false;
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  EXPECT_EQ(fakes_.host.driver_of(kGpu), "nouveau");
  EXPECT_THAT(fakes_.history, ElementsAre("open vfio"));
}

// Their rows want the kernel's device_specific reset, or none at all; who owns the card decides.
TEST(HostDevicesOfVendorReset, OpenWithAnyResetThatTheUserChose) {
  const std::string base = "/sys/bus/pci/devices/" + kGpu;
  for (const std::string& device : {"0x67df", "0x687f", "0x7310", "0x740f"}) {
    for (const std::optional<ResetMethod> chosen :
         {std::optional<ResetMethod>(), std::optional(ResetMethod::kHotReset),
          std::optional(ResetMethod::kFunctionReset), std::optional(ResetMethod::kNone)}) {
      SCOPED_TRACE(device + " " + std::string(chosen ? to_string(*chosen) : "auto"));
      test::FakeDevices fakes;
      fakes.add(kGpu, test::gt710_config(), 0, 0).reset.method = chosen;
      fakes.host.file(base + "/vendor", "0x1002\n");
      fakes.host.file(base + "/device", device + "\n");
      fakes.host.file(base + "/reset_method", "bus\n");
      const auto devices = fakes.create();
      EXPECT_EQ(devices.has_value(), chosen.has_value());
      if (!devices) {
        EXPECT_EQ(devices.error().kind(), ErrorKind::kUnsafeDevice);
        EXPECT_THAT(fakes.history, IsEmpty()) << "not even bound";
      }
      EXPECT_EQ(open_advice(fakes.host, *Bdf::parse(kGpu), chosen).size(), chosen ? 1U : 0U);
    }
  }
}

TEST_F(HostDevicesTest, EachFunctionHasItsDeviceWhateverTheOrder) {
  fakes_.add_remote(kSocket, test::gt710_config(), 0, 0);
  fakes_.add(kUsb, test::upd720200_config(), 1, 0);
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  const auto functions = (*devices)->functions();
  ASSERT_EQ(functions.size(), 2U);
  for (const auto& function : functions) {
    EXPECT_EQ(function->device().name(), function->name());
    EXPECT_FALSE(function->is_shown());
  }
  EXPECT_THAT(names_of((*devices)->devices()), ElementsAre(kSocket, kUsb));
  EXPECT_EQ((*devices)->host_functions().front(), &functions.front()->host());
}

TEST_F(HostDevicesTest, GuestMemoryGoesToEveryHost) {
  add_two();
  fakes_.add_remote(kSocket, test::gt710_config(), 2, 0);
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  const auto memory = GuestMemory::create({.size = 64_MiB, .low_limit = 32_MiB}).value();
  fakes_.history.clear();
  ASSERT_TRUE((*devices)->map_memory(memory, [](std::uint64_t) { return false; }));
  EXPECT_THAT(fakes_.history,
              ElementsAre("vfio map 0x0+0x2000000", "vfio-user map 0x0+0x2000000",
                          "vfio map 0x100000000+0x2000000", "vfio-user map 0x100000000+0x2000000"));
}

TEST_F(HostDevicesTest, GuestMemoryAbove1TiBIsReachedThere) {
  add_two();
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  const auto memory = GuestMemory::create({.size = 1011_GiB}).value();
  fakes_.history.clear();
  ASSERT_TRUE((*devices)->map_memory(memory, [](std::uint64_t) { return false; }));
  EXPECT_THAT(fakes_.history,
              ElementsAre("vfio map 0x0+0x80000000", "vfio map 0x100000000+0xfc00000000",
                          "vfio map 0x10000000000+0x40000000"));
}

TEST_F(HostDevicesTest, ReopenClosesAllFirstAndKeepsTheFunctions) {
  add_two();
  fakes_.add_remote(kSocket, test::gt710_config(), 2, 0);
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  OwnedFunction* const gpu = (*devices)->functions().front().get();
  fakes_.history.clear();
  ASSERT_TRUE((*devices)->reopen());
  EXPECT_THAT(fakes_.history,
              ElementsAre("close vfio-user", "close vfio", "open vfio", "open vfio-user"));
  EXPECT_EQ((*devices)->functions().front().get(), gpu);
  EXPECT_EQ(gpu->device().name(), kGpu);
  EXPECT_EQ(&gpu->device(), (*devices)->devices().front());
}

TEST_F(HostDevicesTest, WhatCannotBeOpenedAgainIsClosed) {
  add_two();
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  fakes_.is_opening_refused = true;
  EXPECT_FALSE((*devices)->reopen());
  EXPECT_THAT((*devices)->devices(), IsEmpty());
  EXPECT_FALSE((*devices)->functions().front()->is_open());
  EXPECT_EQ((*devices)->peer_host(), nullptr);
  fakes_.is_opening_refused = false;
  EXPECT_TRUE((*devices)->reopen());
  EXPECT_THAT(names_of((*devices)->devices()), ElementsAre(kGpu, kUsb));
}

TEST_F(HostDevicesTest, WhatIsNotOpenedGivesTheDriversBack) {
  add_two();
  fakes_.withheld = 1;
  const auto devices = fakes_.create();
  ASSERT_FALSE(devices);
  EXPECT_THAT(devices.error().to_string(), HasSubstr(kUsb + " was not opened"));
  EXPECT_EQ(fakes_.host.driver_of(kGpu), "nouveau");
}

TEST_F(HostDevicesTest, HowTheyLookedIsKnownOverAnOpening) {
  add_two();
  const auto devices = fakes_.create();
  ASSERT_TRUE(devices);
  const auto before = [&devices] {
    PhysicalDevice* const device = (*devices)->devices()[1];
    return (*devices)->reset_book().plan({&device, 1}).value().sets()[0].functions[0].before;
  };
  ASSERT_TRUE(MachineReset(**devices).plan());
  const FunctionState well = before();
  ASSERT_TRUE((*devices)->reopen());
  EXPECT_EQ(before(), well);
}

// Who chose a card has claimed it; its start takes the claim over without letting go in between.
TEST(DeviceClaims, TakesOverWhatIsHeldAlready) {
  const FakeHost host;
  host.directory("/run/gpuvm");
  auto held = DeviceClaims::take(host, {bdf_of(kGpu), bdf_of(kUsb)}, claim_owner("main"));
  ASSERT_TRUE(held) << held.error().to_string();
  EXPECT_THAT(held->functions(), ElementsAre(bdf_of(kGpu), bdf_of(kUsb)));
  EXPECT_FALSE(DeviceClaims::take(host, {bdf_of(kGpu)}, claim_owner("main")));
  auto taken = DeviceClaims::take(host, {bdf_of(kGpu)}, claim_owner("main"), {}, std::move(*held));
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_THAT(taken->functions(), ElementsAre(bdf_of(kGpu)));
  EXPECT_TRUE(taken->mark_dirty(kGpu, "in use", ""));
  EXPECT_EQ(read_device_record(host, bdf_of(kGpu))->dirty, "in use");
  EXPECT_FALSE(DeviceClaims::take(host, {bdf_of(kGpu)}, claim_owner("main")));
}

TEST(DeviceClaims, WhatIsHeldAndNotWantedEnds) {
  const FakeHost host;
  host.directory("/run/gpuvm");
  auto taken = DeviceClaims::take(host, {bdf_of(kGpu)}, "us", {},
                                  DeviceClaims::take(host, {bdf_of(kUsb)}, "us").value());
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_THAT(host.list("/run/gpuvm"), ElementsAre(kGpu + ".state"));
  taken->add(DeviceClaims::take(host, {bdf_of(kUsb)}, "us").value());
  EXPECT_THAT(taken->functions(), ElementsAre(bdf_of(kGpu), bdf_of(kUsb)));
}

}  // namespace
}  // namespace gpuvm::host_devices_test
