// SPDX-License-Identifier: Apache-2.0
// Sequence from Linux, Documentation/ABI/testing/sysfs-bus-pci: driver_override, unbind,
// drivers_probe.
#include "vmm/host/driver_binding.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/unit/vmm/host/driver_binding_fixture.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm::driver_binding_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(DriverBindingTest, BindsInTheDocumentedOrderAndGivesBack) {
  {
    auto binding = DriverBinding::create(host_, gpu());
    ASSERT_TRUE(binding) << binding.error().to_string();
    EXPECT_THAT(host_.writes, ElementsAre(kGpuPath + "/driver_override <- vfio-pci",
                                          kGpuPath + "/driver/unbind <- " + kGpu,
                                          "/sys/bus/pci/drivers_probe <- " + kGpu));
    EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
    EXPECT_THAT(binding->managed(), ElementsAre(bdf_of(kGpu)));
    host_.writes.clear();
  }
  EXPECT_THAT(host_.writes,
              ElementsAre(kGpuPath + "/driver_override <- ", kGpuPath + "/driver/unbind <- " + kGpu,
                          "/sys/bus/pci/drivers_probe <- " + kGpu));
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, RecordIsOnDiskBeforeAnythingIsChanged) {
  std::string record_at_first_write;
  host_.on_write = [&](const std::string&) {
    if (record_at_first_write.empty()) {
      record_at_first_write = host_.read(kGpuRecord).value();
    }
  };
  ASSERT_TRUE(DriverBinding::create(host_, gpu()));
  const auto record = BindingRecord::parse(record_at_first_write);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->driver, "nouveau");
  EXPECT_EQ(record->driver_override, "");
}

TEST_F(DriverBindingTest, LeavesTheUsersOwnBindingAlone) {
  host_.attach(kGpu, "vfio-pci");
  {
    auto binding = DriverBinding::create(host_, both());
    ASSERT_TRUE(binding);
    EXPECT_THAT(binding->managed(), ElementsAre(bdf_of(kAudio)));
  }
  EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
  EXPECT_EQ(host_.driver_of(kAudio), "snd_hda_intel");
}

TEST_F(DriverBindingTest, KeepsAnOverrideThatTheUserHadSet) {
  host_.file(kGpuPath + "/driver_override", "nouveau\n");
  { ASSERT_TRUE(DriverBinding::create(host_, gpu())); }
  EXPECT_EQ(host_.override_of(kGpu), "nouveau");
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
}

TEST_F(DriverBindingTest, FunctionWithoutDriverGoesBackToNone) {
  std::filesystem::remove(host_.path(kGpuPath + "/driver"));
  { ASSERT_TRUE(DriverBinding::create(host_, gpu())); }
  EXPECT_EQ(host_.driver_of(kGpu), "");
}

TEST_F(DriverBindingTest, FunctionThatGoesBackToNoDriverStopsDecoding) {
  std::filesystem::remove(host_.path(kGpuPath + "/driver"));
  host_.file(kGpuPath + "/config", "abcd\x07rest");
  { ASSERT_TRUE(DriverBinding::create(host_, gpu())); }
  const auto config = host_.read_bytes(kGpuPath + "/config", 16).value();
  ASSERT_EQ(config.size(), 9u);
  EXPECT_EQ(config[4], std::byte{0});
  EXPECT_EQ(config[5], std::byte{'r'});
}

TEST_F(DriverBindingTest, AFunctionThatHasLeftIsNotSaidToBeGivenBack) {
  EXPECT_EQ(given_back_text(host_, bdf_of(kGpu)), "is given back");
  EXPECT_EQ(given_back_text(host_, bdf_of("0000:7f:00.0")),
            "is not there any more, and its record is removed");
}

TEST_F(DriverBindingTest, FailureOfTheSecondGivesTheFirstBack) {
  host_.file("/sys/bus/pci/devices/0000:01:00.1/class", "0x060400\n");
  const auto binding = DriverBinding::create(host_, both());
  ASSERT_FALSE(binding);
  EXPECT_EQ(binding.error().kind(), ErrorKind::kConfig);
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, RefusedProbeGivesTheFunctionBack) {
  host_.refusing_drivers = {"vfio-pci"};
  const auto binding = DriverBinding::create(host_, gpu());
  ASSERT_FALSE(binding);
  EXPECT_THAT(binding.error().to_string(), HasSubstr("dmesg"));
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
}

// nvidia's driver waits in its unbind until nobody uses the GPU any more. A FIFO stands for that.
TEST_F(DriverBindingTest, UnbindThatNeverComesBackIsGivenUpAndToldWithItsHolders) {
  const std::string unbind = "/sys/bus/pci/drivers/nvidia/unbind";
  host_.add_device(kGpu, "0x030000", 13, "nvidia");
  ASSERT_EQ(::mkfifo(host_.path(unbind).c_str(), 0600), 0);
  host_.file("/proc/7/comm", "nvidia-persiste\n");
  host_.link("/proc/7/fd/5", "/dev/nvidiactl");
  host_.file("/sys/module/nvidia_drm/parameters/modeset", "Y\n");
  host_.file("/sys/module/nvidia_drm/parameters/fbdev", "N\n");
  host_.file("/sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
  host_.file("/sys/class/vtconsole/vtcon1/bind", "1\n");
  {
    const auto binding =
        DriverBinding::create(host_, std::vector<Bdf>{bdf_of(kAudio), bdf_of(kGpu)});
    ASSERT_FALSE(binding);
    EXPECT_EQ(binding.error().kind(), ErrorKind::kHost);
    EXPECT_THAT(
        binding.error().to_string(),
        AllOf(HasSubstr("slept for 60 s in the driver nvidia"),
              HasSubstr("nvidia-persiste (pid 7) holds /dev/nvidiactl open"),
              HasSubstr("nvidia_drm has modeset=1"), Not(HasSubstr("fbdev")),
              HasSubstr("/sys/class/vtconsole/vtcon1/bind"), HasSubstr("gpuvm unbind " + kGpu)));
  }
  EXPECT_EQ(host_.driver_of(kAudio), "snd_hda_intel") << "what was not stuck went back";
  EXPECT_EQ(host_.driver_of(kGpu), "nvidia");
  EXPECT_EQ(host_.override_of(kGpu), "vfio-pci") << "a write would wait for the same lock";
  EXPECT_TRUE(host_.exists(kGpuRecord));
  EXPECT_EQ(
      std::count(host_.writes.begin(), host_.writes.end(), kGpuPath + "/driver/unbind <- " + kGpu),
      1);
  // The holder has gone, and with it the driver's reason to wait.
  std::filesystem::remove(host_.path(unbind));
  std::filesystem::remove(host_.path(kGpuPath + "/driver"));
  const auto gave_back = restore_binding(host_, bdf_of(kGpu));
  ASSERT_TRUE(gave_back) << gave_back.error().to_string();
  EXPECT_TRUE(*gave_back);
  EXPECT_EQ(host_.driver_of(kGpu), "nvidia");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, ReturnThatNeverComesBackKeepsTheRecord) {
  auto binding = DriverBinding::create(host_, gpu());
  ASSERT_TRUE(binding);
  ASSERT_EQ(::mkfifo(host_.path("/sys/bus/pci/drivers/vfio-pci/unbind").c_str(), 0600), 0);
  const Status released = binding->release();
  ASSERT_FALSE(released);
  EXPECT_THAT(released.error().to_string(), HasSubstr("slept for 60 s in the driver vfio-pci"));
  EXPECT_TRUE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, LoadsTheModuleWhenTheDriverIsAbsent) {
  std::filesystem::remove(host_.path("/sys/bus/pci/drivers/vfio-pci"));
  const auto binding = DriverBinding::create(host_, gpu());
  ASSERT_TRUE(binding) << binding.error().to_string();
  EXPECT_THAT(host_.loaded, ElementsAre("vfio-pci"));
}

TEST_F(DriverBindingTest, MissingModuleChangesNothingAndNamesTheCure) {
  std::filesystem::remove(host_.path("/sys/bus/pci/drivers/vfio-pci"));
  host_.modules.clear();
  const auto binding = DriverBinding::create(host_, gpu());
  ASSERT_FALSE(binding);
  EXPECT_EQ(binding.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(binding.error().to_string(), HasSubstr("modprobe vfio-pci"));
  EXPECT_THAT(host_.writes, IsEmpty());
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, SecondManagerIsRefusedWhileTheFirstLives) {
  const auto first = DriverBinding::create(host_, gpu());
  ASSERT_TRUE(first);
  const auto second = DriverBinding::create(host_, gpu());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().to_string(), HasSubstr("already managed by another gpuvm"));
  EXPECT_THAT(restore_bindings(host_), IsEmpty());
  EXPECT_FALSE(restore_binding(host_, bdf_of(kGpu)));
  EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
}

TEST_F(DriverBindingTest, RestoresAfterACrash) {
  host_.file(kGpuRecord, "driver=nouveau\ndriver_override=\nend\n");
  host_.file(kGpuPath + "/driver_override", "vfio-pci\n");
  host_.attach(kGpu, "vfio-pci");
  const auto restored = restore_bindings(host_);
  ASSERT_EQ(restored.size(), 1u);
  EXPECT_EQ(restored[0].bdf, bdf_of(kGpu));
  EXPECT_TRUE(restored[0].outcome);
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
  EXPECT_FALSE(host_.exists(kGpuRecord));
  EXPECT_FALSE(*restore_binding(host_, bdf_of(kGpu)));
}

TEST_F(DriverBindingTest, NextRunAfterACrashAdoptsTheRecord) {
  host_.file(kGpuRecord, "driver=nouveau\ndriver_override=\nend\n");
  host_.file(kGpuPath + "/driver_override", "vfio-pci\n");
  host_.attach(kGpu, "vfio-pci");
  {
    const auto binding = DriverBinding::create(host_, gpu());
    ASSERT_TRUE(binding);
    EXPECT_THAT(binding->managed(), ElementsAre(bdf_of(kGpu)));
    EXPECT_THAT(host_.writes, IsEmpty());
  }
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
}

TEST_F(DriverBindingTest, CrashBeforeTheUnbindIsUndoneToo) {
  host_.file(kGpuRecord, "driver=nouveau\ndriver_override=\nend\n");
  host_.file(kGpuPath + "/driver_override", "vfio-pci\n");
  const auto restored = restore_bindings(host_);
  ASSERT_EQ(restored.size(), 1u);
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_EQ(host_.override_of(kGpu), "(null)");
}

TEST_F(DriverBindingTest, FailedReturnKeepsTheRecordAndSaysHow) {
  auto binding = DriverBinding::create(host_, gpu());
  ASSERT_TRUE(binding);
  host_.refusing_drivers = {"nouveau"};
  std::filesystem::remove(host_.path("/sys/bus/pci/drivers/nouveau"));
  host_.own_driver[kGpu] = "another";
  host_.add_driver("another");
  const Status status = binding->release();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("was not taken back by its driver nouveau"));
  EXPECT_TRUE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, DeviceInUseIsNotTaken) {
  host_.directory(kGpuPath + "/drm/card0");
  host_.file("/proc/812/comm", "Xorg\n");
  host_.link("/proc/812/fd/7", "/dev/dri/card0");
  const auto binding = DriverBinding::create(host_, gpu());
  ASSERT_FALSE(binding);
  EXPECT_THAT(binding.error().to_string(), HasSubstr("Xorg (pid 812) holds /dev/dri/card0"));
  EXPECT_THAT(host_.writes, IsEmpty());
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST_F(DriverBindingTest, FunctionsThatVfioHasByAVendorsDriverStayThere) {
  host_.attach(kGpu, "nvidia");
  host_.directory(kGpuPath + "/vfio-dev/vfio0");
  {
    const auto binding = DriverBinding::create(host_, gpu());
    ASSERT_TRUE(binding);
    EXPECT_THAT(binding->managed(), IsEmpty());
  }
  EXPECT_THAT(host_.writes, IsEmpty());
  EXPECT_EQ(host_.driver_of(kGpu), "nvidia");
}

TEST_F(DriverBindingTest, FunctionThatGoesAwayLeavesNoRecord) {
  host_.link(kGpuPath + "/physfn", "../0000:01:00.1");
  {
    const auto binding = DriverBinding::create(host_, gpu());
    ASSERT_TRUE(binding);
    std::filesystem::remove_all(host_.path(kGpuPath));  // echo 0 > sriov_numvfs
  }
  EXPECT_FALSE(host_.exists(kGpuRecord));
}

TEST(BindingRecord, SizesOfBarsThatThereAreNotCountAsNone) {
  const auto parsed = BindingRecord::parse(
      "driver=a\ndriver_override=\nbar_size_6=1\nbar_size_=1\nbar_size_10=1\nbar_size_0=x\n"
      "bar_size_5=1048576\nend\n");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->bar_sizes, (BarSizes{0, 0, 0, 0, 0, 1_MiB}));
  EXPECT_EQ(BindingRecord::parse(parsed->to_text())->bar_sizes, parsed->bar_sizes);
}

TEST(BindingRecord, RoundTripsAndRefusesCutOrHostileText) {
  const BindingRecord record{"nvidia", "vfio-pci", {}};
  const auto parsed = BindingRecord::parse(record.to_text());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->driver, "nvidia");
  EXPECT_EQ(parsed->driver_override, "vfio-pci");
  const std::string text = record.to_text();
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    EXPECT_FALSE(BindingRecord::parse(text.substr(0, length))) << length;
  }
  EXPECT_FALSE(BindingRecord::parse("driver=../../../tmp/x\nend\n"));
}

}  // namespace
}  // namespace gpuvm::driver_binding_test
