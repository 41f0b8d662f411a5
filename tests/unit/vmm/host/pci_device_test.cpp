// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/pci_device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::pci_device_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(HostPciDevice, ReadsIdentityAndChangingState) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x030000", 13, "nouveau");
  host.file("/sys/bus/pci/devices/0000:01:00.0/reset_method", "flr bus\n");
  host.file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "-1\n");
  host.file("/sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n");
  host.file("/sys/bus/pci/devices/0000:01:00.0/power_state", "D3cold\n");
  host.file("/sys/bus/pci/devices/0000:01:00.0/current_link_speed", "2.5 GT/s PCIe\n");
  host.file("/sys/bus/pci/devices/0000:01:00.0/current_link_width", "8\n");
  const auto device = HostPciDevice::open(host, bdf_of("0000:01:00.0"));
  ASSERT_TRUE(device);
  EXPECT_EQ(device->ids().vendor, 0x10de);
  EXPECT_EQ(device->ids().device, 0x128b);
  EXPECT_EQ(device->ids().class_code, 0x030000u);
  EXPECT_TRUE(device->is_display());
  EXPECT_FALSE(device->is_bridge());
  EXPECT_EQ(device->driver(), "nouveau");
  EXPECT_EQ(device->iommu_group(), 13u);
  EXPECT_THAT(device->reset_methods(), ElementsAre("flr", "bus"));
  EXPECT_EQ(device->numa_node(), std::nullopt);
  EXPECT_TRUE(device->is_boot_vga());
  EXPECT_EQ(device->power_state(), "D3cold");
  EXPECT_EQ(device->link().width, 8u);
  host.file("/sys/bus/pci/devices/0000:01:00.0/current_link_width", "63\n");
  EXPECT_EQ(device->link().width, 0u) << "asleep";
  EXPECT_EQ(device->link().speed, "2.5 GT/s PCIe");
  InspectNode node;
  device->inspect(node);
  EXPECT_EQ(node.get("reset_method"), "flr bus");
  EXPECT_EQ(node.get("driver"), "nouveau");
}

TEST(HostPciDevice, AbsentDeviceIsAConfigurationErrorWithTheCure) {
  FakeHost host;
  const auto device = HostPciDevice::open(host, bdf_of("0000:0b:00.0"));
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(device.error().message(), HasSubstr("0000:0b:00.0 is not there"));
  EXPECT_THAT(device.error().message(), HasSubstr("lspci -Dnn"));
}

// As SIGKILL leaves it in the midst of a slot power cycle.
TEST(HostPciDevice, AbsentDeviceThatWasLeftDirtyIsToldHowToFindIt) {
  FakeHost host;
  host.file("/run/gpuvm/0000:0b:00.0.state",
            "owner=gpuvm reset\npid=7\ndirty=gpuvm reset had it\nlooks=\nend\n");
  host.file("/sys/bus/pci/slots/7/address", "0000:0b:00\n");
  host.file("/sys/bus/pci/slots/7/power", "0\n");
  const auto device = HostPciDevice::open(host, bdf_of("0000:0b:00.0"));
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(device.error().message(), HasSubstr("echo 1 >/sys/bus/pci/slots/7/power"));
  EXPECT_THAT(device.error().message(), HasSubstr("echo 1 >/sys/bus/pci/rescan"));
}

TEST(HostPciDevice, UnreadableIdentityIsAnError) {
  FakeHost host;
  host.add_device("0000:01:00.0", "rubbish", 1, "");
  EXPECT_FALSE(HostPciDevice::open(host, bdf_of("0000:01:00.0")));
}

TEST(HostPciDevice, ListsTheFunctionsOfItsSlotOnly) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x030000", 13, "");
  host.add_device("0000:01:00.3", "0x0c8000", 13, "");
  host.add_device("0000:01:01.0", "0x020000", 14, "");
  const auto device = HostPciDevice::open(host, bdf_of("0000:01:00.3"));
  ASSERT_TRUE(device);
  EXPECT_THAT(device->slot_functions(),
              ElementsAre(bdf_of("0000:01:00.0"), bdf_of("0000:01:00.3")));
}

}  // namespace
}  // namespace gpuvm::pci_device_test
