// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/device_use.hpp"

namespace gpuvm::host_check_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Bdf kGpu = bdf_of("0000:01:00.0");

TEST(HostCheck, MissingKvmNamesTheCure) {
  FakeHost host;
  const Status status = check_kvm(host);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(status.error().message(), AllOf(HasSubstr("/dev/kvm"), HasSubstr("BIOS")));
  host.file("/dev/kvm", "");
  EXPECT_TRUE(check_kvm(host));
}

TEST(HostCheck, IommuNeedsAGroup) {
  FakeHost host;
  EXPECT_FALSE(check_iommu(host));
  host.directory("/sys/kernel/iommu_groups");
  EXPECT_FALSE(check_iommu(host));
  host.directory("/sys/kernel/iommu_groups/0");
  EXPECT_TRUE(check_iommu(host));
}

TEST(HostCheck, DeviceMustExistAndBeNoBridge) {
  FakeHost host;
  EXPECT_EQ(check_device(host, kGpu, true).error().kind(), ErrorKind::kConfig);
  host.add_device("0000:01:00.0", "0x060400", 1, "pcieport");
  EXPECT_THAT(check_device(host, kGpu, true).error().message(), HasSubstr("bridge"));
}

TEST(HostCheck, UnmanagedDeviceMustBelongToVfio) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x030000", 1, "nouveau");
  EXPECT_TRUE(check_device(host, kGpu, true));
  const Status status = check_device(host, kGpu, false);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), HasSubstr("the driver nouveau"));
  host.attach("0000:01:00.0", "vfio-pci");
  EXPECT_TRUE(check_device(host, kGpu, false));
}

TEST(HostCheck, BusyGroupNamesTheProcess) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x030000", 13, "vfio-pci");
  EXPECT_TRUE(check_group_free(host, kGpu));
  host.file("/proc/4711/comm", "qemu-system-x86\n");
  host.link("/proc/4711/fd/20", "/dev/vfio/131");
  EXPECT_TRUE(check_group_free(host, kGpu));
  host.link("/proc/4711/fd/21", "/dev/vfio/13");
  host.link("/proc/self/fd/3", "/dev/vfio/13");
  const Status status = check_group_free(host, kGpu);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), HasSubstr("in use by qemu-system-x86 (pid 4711)"));
}

TEST(HostCheck, MemoryMustBeAvailable) {
  FakeHost host;
  host.file("/proc/meminfo", "MemTotal:  8000000 kB\nMemAvailable:  2097152 kB\n");
  EXPECT_TRUE(check_memory(host, 2_GiB, 0));
  const Status status = check_memory(host, 2_GiB + 1_MiB, 0);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), AllOf(HasSubstr("2049 MiB"), HasSubstr("2048 MiB")));
}

TEST(HostCheck, HugePagesMustBeFree) {
  FakeHost host;
  EXPECT_THAT(check_memory(host, 1_GiB, 2_MiB).error().message(), HasSubstr("no huge pages"));
  host.file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "511\n");
  const Status status = check_memory(host, 1_GiB, 2_MiB);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), AllOf(HasSubstr("512"), HasSubstr("nr_hugepages")));
  host.file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n");
  EXPECT_TRUE(check_memory(host, 1_GiB, 2_MiB));
}

TEST(HostCheck, PinningLimit) {
  EXPECT_TRUE(check_pinning({std::nullopt, false}, 64_GiB));
  EXPECT_TRUE(check_pinning({8_MiB, true}, 64_GiB));
  EXPECT_TRUE(check_pinning({8_MiB, false}, 8_MiB));
  const Status status = check_pinning({8_MiB, false}, 1_GiB);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(),
              AllOf(HasSubstr("ulimit -l"), HasSubstr("LimitMEMLOCK"), HasSubstr("1048576")));
}

TEST(HostCheck, CapabilityIsReadFromProc) {
  FakeHost host;
  host.file("/proc/self/status", "Name:\tgpuvm\nCapEff:\t0000000000004000\n");
  EXPECT_TRUE(PinningRights::of_this_process(host).may_exceed);
  host.file("/proc/self/status", "Name:\tgpuvm\nCapEff:\t00000000ffffbfff\n");
  EXPECT_FALSE(PinningRights::of_this_process(host).may_exceed);
}

TEST(HostCheck, KernelsWithBrokenSlotResetAreNamed) {
  EXPECT_FALSE(check_kernel_release("6.14.2"));
  EXPECT_FALSE(check_kernel_release("6.12.23-amd64"));
  EXPECT_FALSE(check_kernel_release("6.12.23+deb13-amd64"));
  EXPECT_TRUE(check_kernel_release("6.14.20"));
  EXPECT_TRUE(check_kernel_release("6.12.24-amd64"));
  EXPECT_TRUE(check_kernel_release(""));
}

// Debian's releases are named after their first version: the package's version tells.
TEST(HostCheck, KernelOfDebianIsKnownByItsPackage) {
  const auto is_well = [](const std::string& version) {
    FakeHost host;
    host.file("/proc/sys/kernel/osrelease", "6.12.0-20-amd64\n");
    host.file("/proc/version",
              "Linux version 6.12.0-20-amd64 (debian-kernel@lists.debian.org) " + version + "\n");
    HostNeeds needs;
    needs.devices = {bdf_of("0000:01:00.0")};
    for (const Finding& finding : check_host(host, needs)) {
      if (finding.check == "kernel") {
        return finding.outcome.has_value();
      }
    }
    return false;
  };
  EXPECT_FALSE(is_well("#1 SMP PREEMPT_DYNAMIC Debian 6.12.23-1 (2025-04-10)"));
  EXPECT_TRUE(is_well("#1 SMP PREEMPT_DYNAMIC Debian 6.12.24-1 (2025-04-20)"));
  EXPECT_TRUE(is_well("#1 SMP PREEMPT_DYNAMIC"));
}

TEST(HostCheck, RequireHostYieldsTheFirstFailure) {
  FakeHost host;
  host.file("/dev/kvm", "");
  host.file("/proc/meminfo", "MemAvailable:  2097152 kB\n");
  HostNeeds needs;
  needs.memory = 1_GiB;
  EXPECT_TRUE(require_host(host, needs));
  needs.devices = {kGpu};
  EXPECT_THAT(require_host(host, needs).error().message(), HasSubstr("IOMMU"));
  host.add_device("0000:01:00.0", "0x030000", 13, "nouveau");
  host.add_device("0000:01:00.1", "0x040300", 13, "snd_hda_intel");
  host.file("/proc/self/status", "CapEff:\t0000000000004000\n");
  EXPECT_THAT(require_host(host, needs).error().message(), HasSubstr("0000:01:00.1"));
  needs.devices.push_back(bdf_of("0000:01:00.1"));
  EXPECT_TRUE(require_host(host, needs));
}

TEST(DeviceUse, FindsMountedDisksSwapAndVolumes) {
  FakeHost host;
  host.add_device("0000:04:00.0", "0x010802", 2, "nvme");
  const std::string pci = "../../devices/pci0000:00/0000:00:04.0/0000:04:00.0/nvme/nvme0/";
  host.link("/sys/class/block/nvme0n1", pci + "nvme0n1");
  host.link("/sys/class/block/nvme0n1p1", pci + "nvme0n1/nvme0n1p1");
  host.link("/sys/class/block/sda", "../../devices/pci0000:00/0000:00:1f.2/ata1/block/sda");
  host.file("/proc/self/mounts", "/dev/sda / ext4 rw 0 0\n/dev/nvme0n1p10 /x ext4 rw 0 0\n");
  EXPECT_THAT(find_uses(host, bdf_of("0000:04:00.0")), IsEmpty());
  host.file("/proc/self/mounts", "/dev/nvme0n1p1 /home ext4 rw 0 0\n");
  host.file("/proc/swaps", "Filename Type Size\n/dev/nvme0n1 partition 1\n");
  EXPECT_THAT(find_uses(host, bdf_of("0000:04:00.0")),
              ElementsAre("/dev/nvme0n1 is swap space", "/dev/nvme0n1p1 is mounted"));
}

TEST(DeviceUse, FindsNetworkInterfacesThatAreUp) {
  FakeHost host;
  host.add_device("0000:03:00.0", "0x020000", 2, "e1000e");
  host.file("/sys/bus/pci/devices/0000:03:00.0/net/eth0/operstate", "up\n");
  host.file("/sys/bus/pci/devices/0000:03:00.0/net/eth1/operstate", "down\n");
  EXPECT_THAT(find_uses(host, bdf_of("0000:03:00.0")), ElementsAre("network interface eth0 is up"));
}

TEST(DeviceUse, FindsHoldersOfNvidiaNodes) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x030000", 2, "nvidia");
  host.file("/proc/driver/nvidia/gpus/0000:01:00.0/information",
            "Model: \t\t NVIDIA T4\nDevice Minor: \t 1\n");
  host.file("/proc/99/comm", "nvidia-persiste\n");
  host.link("/proc/99/fd/4", "/dev/nvidia1");
  EXPECT_THAT(find_uses(host, bdf_of("0000:01:00.0")),
              ElementsAre("nvidia-persiste (pid 99) holds /dev/nvidia1 open"));
}

}  // namespace
}  // namespace gpuvm::host_check_test
