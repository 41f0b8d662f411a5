// SPDX-License-Identifier: Apache-2.0
// Each precondition: well, and wrong with its cure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fixtures/source_file.hpp"
#include "tests/unit/vmm/check/check_fixture.hpp"
#include "vmm/host_map/snapshot_file.hpp"

namespace gpuvm::check_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using check_fixture::CheckTest;
using check_fixture::find_line;
using check_fixture::kGpu;

TEST_F(CheckTest, AGoodHostAndItsCard) {
  host_.directory("/dev/kvm");
  const auto lines = check();
  for (const CheckLine& each : lines) {
    EXPECT_EQ(each.level, CheckLevel::kPass)
        << each.check << " of " << each.of << ": " << each.text;
    EXPECT_FALSE(each.text.empty()) << each.check;
  }
  EXPECT_EQ(exit_status(lines), 0);
  EXPECT_NE(find_line(lines, "reset_method", kGpu), nullptr);
}

TEST_F(CheckTest, KvmIsMissing) {
  auto found = line("kvm", "", nullptr, true);
  EXPECT_EQ(found.level, CheckLevel::kFail);
  EXPECT_THAT(found.text, HasSubstr("/dev/kvm is missing"));
  EXPECT_EQ(found.cure, "`modprobe kvm_intel`");
  host_.file("/proc/cpuinfo", cpu("AuthenticAMD", "svm", 48));
  EXPECT_EQ(line("kvm", "", nullptr, true).cure, "`modprobe kvm_amd`");
  host_.file("/proc/cpuinfo", cpu("AuthenticAMD", "", 48));
  found = line("kvm", "", nullptr, true);
  EXPECT_THAT(found.cure, HasSubstr("BIOS"));  // no module helps before that
  EXPECT_THAT(found.text, HasSubstr("BIOS"));
}

TEST_F(CheckTest, WhatIsNoKvmDeviceIsToldSo) {
  host_.file("/dev/kvm", "");
  EXPECT_THAT(line("kvm", "", nullptr, true).text, HasSubstr("not a KVM device"));
  EXPECT_EQ(line("kvm", "", nullptr, true).level, CheckLevel::kFail);
}

TEST_F(CheckTest, TheIommuIsOff) {
  switch_iommu_off();
  EXPECT_EQ(line("iommu_tables").level, CheckLevel::kPass);
  auto groups = line("iommu_groups");
  EXPECT_EQ(groups.level, CheckLevel::kFail);
  EXPECT_THAT(groups.cure, HasSubstr("add intel_iommu=on to GRUB_CMDLINE_LINUX"));
  host_.file("/proc/cmdline", "quiet iommu=off");
  EXPECT_THAT(line("iommu_groups").cure, HasSubstr("take iommu=off off"));
  host_.file("/proc/cmdline", "intel_iommu=on");
  EXPECT_THAT(line("iommu_groups").cure, HasSubstr("VT-d in the BIOS"));
  std::filesystem::remove(host_.path("/sys/firmware/acpi/tables/DMAR"));
  const auto tables = line("iommu_tables");
  EXPECT_EQ(tables.level, CheckLevel::kFail);
  EXPECT_THAT(tables.cure, HasSubstr("VT-d"));
  host_.file("/proc/cpuinfo", cpu("AuthenticAMD", "svm", 48));
  EXPECT_THAT(line("iommu_tables").cure, HasSubstr("AMD-Vi"));
  EXPECT_EQ(exit_status(check()), 69);
}

TEST_F(CheckTest, InterruptsAreNotRemapped) {
  EXPECT_EQ(line("interrupt_remapping").level, CheckLevel::kPass);
  host_.file("/proc/interrupts", " 24: 5 PCI-MSIX-0000:01:00.0 0-edge\n");
  const auto found = line("interrupt_remapping");
  EXPECT_EQ(found.level, CheckLevel::kFail);
  EXPECT_THAT(found.cure, HasSubstr("allow_unsafe_interrupts"));
  host_.file("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
  EXPECT_EQ(line("interrupt_remapping").level, CheckLevel::kWarn);
  switch_iommu_off();
  EXPECT_FALSE(has_line("interrupt_remapping"));  // that is told once
}

TEST_F(CheckTest, TheKernelHasNoVfio) {
  std::filesystem::remove(host_.path("/sys/module/vfio_pci"));
  EXPECT_FALSE(has_line("vfio_module"));  // of a saved host nothing is known then
  EXPECT_EQ(line("vfio_module", "", nullptr, true).level, CheckLevel::kWarn);
  host_.file("/lib/modules/6.12.30/modules.dep", "kernel/fs/fat/fat.ko:\n");
  EXPECT_EQ(line("vfio_module").level, CheckLevel::kFail);
  host_.file("/lib/modules/6.12.30/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko:\n");
  EXPECT_EQ(line("vfio_module").level, CheckLevel::kPass);
}

TEST_F(CheckTest, HugePagesBeforeLinux61) {
  EXPECT_EQ(line("huge_pages").level, CheckLevel::kPass);
  host_.file("/proc/sys/kernel/osrelease", "5.15.0\n");
  EXPECT_THAT(line("huge_pages").cure, HasSubstr("echo within_size >/sys/kernel/mm"));
  EXPECT_EQ(line("huge_pages").level, CheckLevel::kWarn);
  host_.file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always [within_size] never\n");
  EXPECT_EQ(line("huge_pages").level, CheckLevel::kPass);
  std::filesystem::remove_all(host_.path("/sys/kernel/mm/transparent_hugepage"));
  EXPECT_EQ(line("huge_pages").level, CheckLevel::kWarn);
}

TEST_F(CheckTest, AKernelThatCannotResetSlots) {
  host_.file("/proc/sys/kernel/osrelease", "6.14.2-arch1\n");
  const auto found = line("kernel");
  EXPECT_EQ(found.level, CheckLevel::kFail);
  EXPECT_THAT(found.text, AllOf(HasSubstr("update the host's kernel"), HasSubstr("479380efe162")));
  host_.file("/proc/sys/kernel/osrelease", "6.14.20\n");
  EXPECT_EQ(line("kernel").level, CheckLevel::kPass);
}

TEST_F(CheckTest, AKernelBeforeThoseThatAreSupported) {
  for (const auto* const old : {"4.20.16-200.fc29.x86_64", "5.14.21"}) {
    host_.file("/proc/sys/kernel/osrelease", std::string(old) + "\n");
    EXPECT_EQ(line("kernel").level, CheckLevel::kWarn) << old;
    EXPECT_THAT(line("kernel").text, HasSubstr("older than 5.15"));
  }
  host_.file("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n");
  EXPECT_EQ(line("kernel").level, CheckLevel::kPass);
}

TEST_F(CheckTest, ADeviceThatSomebodyHasOpenIsAFailureOfTheStart) {
  host_.directory(fmt::format("/sys/bus/pci/devices/{}/drm/card0", kGpu));
  host_.link("/proc/42/fd/9", "/dev/dri/card0");
  host_.file("/proc/42/comm", "Xorg\n");
  const auto found = line("device", kGpu);
  EXPECT_EQ(found.level, CheckLevel::kFail);
  EXPECT_THAT(found.text, HasSubstr("Xorg (pid 42) holds /dev/dri/card0 open"));
}

TEST_F(CheckTest, NvidiasModesetKeepsTheCard) {
  EXPECT_EQ(line("driver", kGpu).level, CheckLevel::kPass);
  host_.add_driver("nvidia");
  host_.attach(kGpu, "nvidia");
  host_.file("/sys/module/nvidia_drm/parameters/modeset", "Y\n");
  host_.link("/proc/7/fd/3", "/dev/nvidiactl");
  host_.file("/proc/7/comm", "nvidia-persiste\n");
  const auto found = line("driver", kGpu);
  EXPECT_EQ(found.level, CheckLevel::kWarn);
  EXPECT_THAT(found.text, AllOf(HasSubstr("modeset=1"), HasSubstr("nvidia-persiste (pid 7)")));
  EXPECT_THAT(found.cure, AllOf(HasSubstr("systemctl stop nvidia-persistenced"),
                                HasSubstr("vfio-pci.ids=10de:128b")));
}

TEST_F(CheckTest, OwnersAndWhatTheyLeft) {
  EXPECT_EQ(line("owner", kGpu).level, CheckLevel::kPass);
  const std::string record = fmt::format("/run/gpuvm/{}.state", kGpu);
  host_.file(record, "owner=render-1\npid=42\ndirty=\nlooks=\nend\n");
  EXPECT_EQ(line("owner", kGpu).level, CheckLevel::kFail);
  EXPECT_THAT(line("owner", kGpu).text, HasSubstr("render-1 (gpuvm, pid 42)"));
  host_.file("/proc/self/status", "");  // a host whose processes are seen: 42 is none
  host_.file(record, "owner=render-1\npid=42\ndirty=a kill\nlooks=\nend\n");
  const auto found = line("owner", kGpu);
  EXPECT_EQ(found.level, CheckLevel::kWarn);
  EXPECT_THAT(found.cure, HasSubstr("gpuvm reset 0000:01:00.0"));
}

TEST_F(CheckTest, AnOverrideThatHasNotCountedYet) {
  attribute("driver_override", "vfio-pci\n");
  EXPECT_THAT(line("driver", kGpu).cure, HasSubstr("drivers_probe"));
  host_.attach(kGpu, "vfio-pci");
  EXPECT_EQ(line("driver", kGpu).level, CheckLevel::kPass);
}

TEST_F(CheckTest, TheBootDisplay) {
  EXPECT_EQ(line("boot_display", kGpu).level, CheckLevel::kPass);
  attribute("boot_vga", "1\n");
  host_.file("/sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
  host_.file("/sys/class/vtconsole/vtcon1/bind", "1\n");
  const auto found = line("boot_display", kGpu);
  EXPECT_EQ(found.level, CheckLevel::kWarn);
  EXPECT_THAT(found.cure, AllOf(HasSubstr("vtcon1/bind"), HasSubstr("rom = \"FILE\"")));
}

TEST_F(CheckTest, BarsAndAddressBits) {
  EXPECT_EQ(line("bars", kGpu).level, CheckLevel::kPass);
  resource(std::uint64_t{1} << 37);
  EXPECT_EQ(line("bars", kGpu).level, CheckLevel::kPass);
  host_.file("/proc/cpuinfo", cpu("GenuineIntel", "vmx", 37));
  const auto found = line("bars", kGpu);
  EXPECT_EQ(found.level, CheckLevel::kFail);
  EXPECT_THAT(found.text, AllOf(HasSubstr("128 GiB"), HasSubstr("37 address bits")));
  attribute("resource", "");
  EXPECT_EQ(find_line(check(), "bars", kGpu), nullptr);
  std::string none;
  for (int i = 0; i < 7; ++i) {
    none += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  }
  attribute("resource", none);
  EXPECT_THAT(line("bars", kGpu).cure, HasSubstr("Above 4G Decoding"));
}

TEST_F(CheckTest, NodesOfDeviceAndMemory) {
  EXPECT_EQ(find_line(check(), "numa_node", kGpu), nullptr);  // one node
  host_.file("/sys/devices/system/node/online", "0-1\n");
  host_.file("/sys/devices/system/node/node1/cpulist", "4-7\n");
  attribute("numa_node", "1\n");
  EXPECT_THAT(line("numa_node", kGpu).text, HasSubstr("NUMA node 1, CPUs 4-7"));
  Config config;
  config.pci.resize(1);
  config.pci[0].host = bdf_of(kGpu);
  config.machine.pin = {0, 1};
  EXPECT_THAT(line("numa_node", kGpu, &config).cure, HasSubstr("CPUs of 4-7"));
  config.machine.pin = {0, 4};
  EXPECT_EQ(line("numa_node", kGpu, &config).level, CheckLevel::kPass);
  config.nodes = {{.cpus = {0}, .memory = 1, .host_node = 0}};
  EXPECT_THAT(line("numa_node", kGpu, &config).cure, HasSubstr("host_node = 1"));
  attribute("numa_node", "-1\n");
  EXPECT_EQ(line("numa_node", kGpu).level, CheckLevel::kWarn);
}

TEST_F(CheckTest, ALinkWithTooFewLanes) {
  for (const auto& [name, text] :
       std::map<std::string, std::string>{{"current_link_speed", "2.5 GT/s PCIe\n"},
                                          {"current_link_width", "16\n"},
                                          {"max_link_speed", "16.0 GT/s PCIe\n"},
                                          {"max_link_width", "16\n"}}) {
    attribute(name, text);
  }
  EXPECT_EQ(line("link", kGpu).level, CheckLevel::kPass);
  EXPECT_THAT(line("link", kGpu).text, HasSubstr("idle cards slow it down"));
  attribute("current_link_width", "4\n");
  EXPECT_EQ(line("link", kGpu).level, CheckLevel::kWarn);
  EXPECT_THAT(line("link", kGpu).text, HasSubstr("4 of 16 lanes"));
}

struct Replay {
  const char* name;
  int status;
  std::vector<std::string> failures;  ///< "check of subject"
};

/// What stops guests on each of tests/fixtures/hosts.
TEST(CheckedHosts, WhatFails) {
  const Replay replays[] = {
      {"threadripper-1900x", 0, {}},
      {"laptop-muxless", 0, {}},
      {"power9-v100", 69, {"processor of "}},
      {"apu-desktop", 75, {"reset of 0000:34:00.0"}},
      {"hgx-h200", 69, {"owner of 0000:1b:00.0"}},
      {"desktop-no-iommu", 69, {"iommu_tables of ", "iommu_groups of ", "kernel of "}},
  };
  for (const Replay& replay : replays) {
    const auto host =
        load_snapshot(test::source_file(fmt::format("tests/fixtures/hosts/{}.json", replay.name)));
    ASSERT_TRUE(host) << host.error().to_string();
    const auto map = gather_host_map(*host, PciNames::of_host(*host));
    ASSERT_TRUE(map) << map.error().to_string();
    const auto lines = check_everything({.host = *host, .map = *map, .is_here = false});
    std::vector<std::string> failures;
    for (const CheckLine& each : lines) {
      if (each.level == CheckLevel::kFail) {
        failures.push_back(fmt::format("{} of {}", each.check, each.of));
      }
    }
    EXPECT_THAT(failures, testing::UnorderedElementsAreArray(replay.failures)) << replay.name;
    EXPECT_EQ(exit_status(lines), replay.status) << replay.name;
  }
}

}  // namespace
}  // namespace gpuvm::check_test
