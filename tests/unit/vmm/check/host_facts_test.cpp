// SPDX-License-Identifier: Apache-2.0
#include "vmm/check/host_facts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::host_facts_test {
namespace {

using testing::HasSubstr;

TEST(HostFacts, OfTheFirstProcessor) {
  FakeHost host;
  EXPECT_EQ(cpu_facts_of(host).maker, CpuMaker::kOther);
  host.file("/proc/cpuinfo",
            "vendor_id\t: AuthenticAMD\nflags\t\t: fpu svm sse\n"
            "address sizes\t: 43 bits physical, 48 bits virtual\n\nvendor_id\t: GenuineIntel\n");
  const auto facts = cpu_facts_of(host);
  EXPECT_EQ(facts.maker, CpuMaker::kAmd);
  EXPECT_TRUE(facts.has_virtualisation);
  EXPECT_EQ(facts.address_bits, 43U);
  host.file("/proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t: svmx\naddress sizes\t: none\n");
  EXPECT_EQ(cpu_facts_of(host).maker, CpuMaker::kIntel);
  EXPECT_FALSE(cpu_facts_of(host).has_virtualisation);
  EXPECT_FALSE(cpu_facts_of(host).address_bits);
}

TEST(HostFacts, WordsOfTheCommandLine) {
  FakeHost host;
  EXPECT_FALSE(boot_word(host, "iommu=off"));
  host.file("/proc/cmdline", "root=/dev/sda1 intel_iommu=on xiommu=off\n");
  EXPECT_EQ(boot_word(host, "intel_iommu="), "intel_iommu=on");
  EXPECT_FALSE(boot_word(host, "iommu=off"));
}

TEST(HostFacts, Modules) {
  FakeHost host;
  EXPECT_EQ(module_state(host, "vfio_pci"), ModuleState::kUnknown);
  host.file("/proc/sys/kernel/osrelease", "6.1.0\n");
  EXPECT_EQ(module_state(host, "vfio_pci"), ModuleState::kUnknown);
  host.file("/lib/modules/6.1.0/modules.dep", "kernel/drivers/vfio/pci/vfio-pci-core.ko: x\n");
  EXPECT_EQ(module_state(host, "vfio_pci"), ModuleState::kMissing);
  host.file("/lib/modules/6.1.0/modules.dep",
            "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
  EXPECT_EQ(module_state(host, "vfio_pci"), ModuleState::kAvailable);
  host.file("/lib/modules/6.1.0/modules.dep", "");
  host.file("/lib/modules/6.1.0/modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\n");
  EXPECT_EQ(module_state(host, "vfio_pci"), ModuleState::kAvailable);
  host.directory("/sys/module/vfio_pci");
  EXPECT_EQ(module_state(host, "vfio_pci"), ModuleState::kLoaded);
}

TEST(HostFacts, Releases) {
  FakeHost host;
  EXPECT_FALSE(is_kernel_at_least(host, 6, 1));
  for (const auto& [release, is_new] : std::map<std::string, bool>{{"6.1.0-49-amd64", true},
                                                                   {"5.15.12", false},
                                                                   {"6.0.19", false},
                                                                   {"6.12.1", true},
                                                                   {"7.0.0", true},
                                                                   {"what", false},
                                                                   {"", false}}) {
    host.file("/proc/sys/kernel/osrelease", release + "\n");
    EXPECT_EQ(is_kernel_at_least(host, 6, 1), is_new) << release;
  }
}

TEST(HostFacts, CuresAreCommands) {
  EXPECT_THAT(add_boot_argument("intel_iommu=on"),
              testing::AllOf(HasSubstr("GRUB_CMDLINE_LINUX"), HasSubstr("--args=intel_iommu=on")));
}

}  // namespace
}  // namespace gpuvm::host_facts_test
