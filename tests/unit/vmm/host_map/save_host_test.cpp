// SPDX-License-Identifier: Apache-2.0
// What is saved of a host: enough that it looks the same elsewhere, and nothing of its people.
#include "vmm/host_map/save_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host_map/map_json.hpp"
#include "vmm/host_map/snapshot_file.hpp"

namespace gpuvm::save_host_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class SaveHostTest : public testing::Test {
 protected:
  SaveHostTest() {
    for (const std::string bdf : {"0000:01:00.0", "0000:01:00.1"}) {
      host_.add_device(bdf, bdf.back() == '0' ? "0x030000" : "0x040300", 7,
                       bdf.back() == '0' ? "nouveau" : "");
      const std::string base = "/sys/bus/pci/devices/" + bdf;
      host_.file(base + "/reset_method", "bus\n");
      host_.file(base + "/power_state", "D0\n");
      const char* const bar = bdf.back() == '0'
                                  ? "0x00000000f0000000 0x00000000f0ffffff 0x0000000000040200\n"
                                  : "0x00000000e0000000 0x00000000e0003fff 0x0000000000040200\n";
      host_.file(base + "/resource", bar + zeros());
      host_.file(base + "/config", config());
    }
    host_.file("/proc/sys/kernel/hostname", "marys-tower\n");
    host_.file("/proc/sys/kernel/osrelease", "6.12.9-marys-tower\n");
    host_.file("/proc/version", "Linux version 6.12.9 (mary@build) (gcc) Debian 6.12.9-1 (2025)\n");
    host_.file("/proc/cmdline",
               "BOOT_IMAGE=/vmlinuz root=UUID=1234-abcd intel_iommu=on ip=10.0.0.1 "
               "vfio-pci.ids=10de:128b\n");
    host_.file("/proc/iomem",
               "01000000-01ffffff : Kernel code\nf0000000-f0ffffff : 0000:01:00.0\n"
               "  f0000000-f00fffff : efifb\n");
    host_.file("/proc/self/mounts",
               "/dev/nvme0n1p2 /home/mary ext4 rw 0 0\nproc /proc proc rw 0 0\n");
    host_.file("/proc/cpuinfo",
               "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx sse\nserial\t: 777\n"
               "address sizes\t: 46 bits physical, 48 bits virtual\n\nprocessor\t: 1\n");
    host_.file("/proc/interrupts", "  CPU0\n 24: 5 IR-PCI-MSIX-0000:01:00.0 0-edge nvme-SN777\n");
    host_.file("/sys/class/dmi/id/product_serial", "SN777\n");
    host_.file("/sys/class/dmi/id/board_name", "X399 Taichi\n");
    host_.link("/sys/class/block/nvme0n1p2",
               "../../devices/pci0000:00/0000:01:00.1/nvme/nvme0n1p2");
    host_.file("/sys/bus/pci/devices/0000:01:00.1/net/enx001122334455/operstate", "up\n");
    host_.file("/sys/bus/pci/devices/0000:01:00.1/net/enx001122334455/address",
               "00:11:22:33:44:55\n");
    host_.file("/run/gpuvm/0000:01:00.0.state",
               "owner=marys-game\npid=42\ndirty=a kill\nlooks=x\nend\n");
  }

  static std::string zeros() {
    std::string text;
    for (int i = 0; i < 6; ++i) {
      text += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
    }
    return text;
  }
  /// With a Device Serial Number.
  static std::string config() {
    std::string bytes(4096, '\0');
    bytes[0] = '\xde';
    bytes[1] = '\x10';
    bytes[0x100] = '\x03';
    bytes[0x102] = '\x01';
    bytes.replace(0x104, 8, "SN777SN7");
    return bytes;
  }
  HostCopy save() {
    auto copy = save_host(host_);
    EXPECT_TRUE(copy) << copy.error().to_string();
    return std::move(copy).value();
  }
  FakeHost host_;
};

TEST_F(SaveHostTest, LooksTheSameElsewhere) {
  const auto names = PciNames("10de  NVIDIA Corporation\n");
  const auto here = gather_host_map(host_, names);
  const auto text = to_snapshot_text(save(), "1");
  const auto copy = parse_snapshot(text);
  ASSERT_TRUE(here) << here.error().to_string();
  ASSERT_TRUE(copy) << copy.error().to_string();
  auto there = gather_host_map(*copy, names);
  ASSERT_TRUE(there) << there.error().to_string();
  // Its owner's name is the only difference.
  EXPECT_EQ(here->functions[0].owner, "marys-game (gpuvm, pid 42)");
  EXPECT_EQ(there->functions[0].owner, "a guest (gpuvm, pid 42)");
  auto expected = map_json(*here, MapFilter::kAll);
  for (auto at = expected.find("marys-game"); at != std::string::npos;
       at = expected.find("marys-game")) {
    expected.replace(at, 10, "a guest");
  }
  // Network interfaces and disks have other names.
  for (auto at = expected.find("enx001122334455"); at != std::string::npos;
       at = expected.find("enx001122334455")) {
    expected.replace(at, 15, "net0");
  }
  EXPECT_EQ(map_json(*there, MapFilter::kAll), expected);
  EXPECT_THAT(expected, HasSubstr("/dev/nvme0n1p2 is mounted"));
  EXPECT_THAT(expected, HasSubstr("net0 is up"));
}

TEST_F(SaveHostTest, TellsNothingOfPeople) {
  const auto text = to_snapshot_text(save(), "1");
  for (const char* const secret :
       {"mary", "marys-tower", "SN777", "534e373737", "001122334455", "00:11:22", "1234-abcd",
        "10.0.0.1", "Kernel code", "/home", "build"}) {
    EXPECT_THAT(text, Not(HasSubstr(secret))) << secret;
  }
}

TEST_F(SaveHostTest, KeepsWhatChecksAsk) {
  const auto copy = save();
  EXPECT_EQ(copy.read("/proc/cmdline").value(), "intel_iommu=on vfio-pci.ids=10de:128b");
  EXPECT_THAT(copy.read("/proc/cpuinfo").value(), HasSubstr("flags\t: vmx"));
  EXPECT_THAT(copy.read("/proc/cpuinfo").value(), HasSubstr("46 bits physical"));
  EXPECT_THAT(copy.read("/proc/interrupts").value(), HasSubstr(" IR-PCI-MSIX"));
  EXPECT_EQ(kernel_release(copy), "6.12.9-1");
  EXPECT_EQ(copy.read("/sys/class/dmi/id/board_name").value(), "X399 Taichi");
  EXPECT_THAT(copy.remarks(), IsEmpty());
}

TEST_F(SaveHostTest, WhoIsGoneOwnsNothingAnyMore) {
  host_.file("/proc/self/status", "");  // processes are seen, and 42 is none
  const auto map = gather_host_map(save(), {});
  ASSERT_TRUE(map);
  EXPECT_EQ(map->functions[0].owner, "");
  EXPECT_EQ(map->functions[0].dirty, "a kill");
}

TEST_F(SaveHostTest, SaysWhatRootWouldHaveSeen) {
  host_.file("/sys/bus/pci/devices/0000:01:00.1/config", config().substr(0, 64));
  EXPECT_THAT(save().remarks(), testing::ElementsAre(HasSubstr("without root")));
}

}  // namespace
}  // namespace gpuvm::save_host_test
