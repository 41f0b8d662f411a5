// SPDX-License-Identifier: Apache-2.0
// What EPERM and EINVAL of VFIO_SET_IOMMU are told as, and EBUSY of INTx.
#include "devices/physical/vfio/vfio_errors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::vfio_errors_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::array<std::uint32_t, 2> kGroups{7, 13};

std::string error_of(const FakeHost& host, int error) {
  return vfio::set_iommu_error(host, kGroups, error).message();
}

TEST(SetIommuError, MemoryThatTheFirmwareKeeps) {
  FakeHost host;
  host.file("/sys/kernel/iommu_groups/7/reserved_regions",
            "0x00000000fee00000 0x00000000feefffff msi\n");
  host.file("/sys/kernel/iommu_groups/13/reserved_regions",
            "0x00000000000e8000 0x00000000000e8fff direct\n"
            "0x00000000fee00000 0x00000000feefffff msi\n");
  for (const int error : {EPERM, EINVAL}) {
    EXPECT_THAT(error_of(host, error),
                AllOf(HasSubstr("RMRR"), HasSubstr("group 13"), HasSubstr("0x00000000000e8000"),
                      Not(HasSubstr("interrupt"))));
  }
  EXPECT_THAT(error_of(host, ENOMEM), Not(HasSubstr("RMRR")));
}

// Mappings of graphics and USB controllers may go.
TEST(SetIommuError, OtherwiseItIsInterruptRemapping) {
  FakeHost host;
  host.file("/sys/kernel/iommu_groups/7/reserved_regions",
            "0x00000000000e8000 0x00000000000e8fff direct-relaxable\n");
  EXPECT_THAT(error_of(host, EPERM), HasSubstr("interrupt remapping"));
  EXPECT_THAT(error_of(host, EINVAL),
              AllOf(HasSubstr("dmesg"), HasSubstr("Invalid argument"), Not(HasSubstr("RMRR"))));
}

// Lines as Linux prints them (kernel/irq/proc.c): a count for each CPU, controller, pin, names.
TEST(ConnectIntxError, WhoElseHasTheLineIsNamed) {
  FakeHost host;
  const auto said = [&host](int error) {
    return vfio::connect_intx_error(host, bdf_of("0000:03:00.0"), error).message();
  };
  EXPECT_THAT(said(EBUSY), AllOf(HasSubstr("DisINTx"), HasSubstr("another device")));
  host.add_device("0000:03:00.0", "0x040100", 3, "vfio-pci");
  host.file("/sys/bus/pci/devices/0000:03:00.0/irq", "16\n");
  EXPECT_THAT(said(EBUSY), AllOf(HasSubstr("line 16"), HasSubstr("another device")));
  host.file("/proc/interrupts",
            "            CPU0       CPU1       \n"
            "  1:          0          9   IO-APIC   1-edge      i8042\n"
            " 16:          7          0   IO-APIC  16-fasteoi   uhci_hcd:usb1, snd_ens1371\n"
            "160:          7          0   PCI-MSI 5-edge      nvme0q0\n"
            "NMI:          0          0   Non-maskable interrupts\n");
  EXPECT_THAT(said(EBUSY), HasSubstr("also used by uhci_hcd:usb1, snd_ens1371: take"));
  host.file("/proc/interrupts", " 16:\n 16: 1 2\n");
  EXPECT_THAT(said(EBUSY), HasSubstr("another device"));
  EXPECT_THAT(said(ENODEV), AllOf(HasSubstr("No such device"), Not(HasSubstr("DisINTx"))));
}

std::string opening_error(const std::string& token, int error) {
  return vfio::open_device_error({.bdf = bdf_of("0000:05:10.0"), .vf_token = token}, 13, error)
      .message();
}

TEST(OpenDevice, NameCarriesTheToken) {
  EXPECT_EQ(vfio::device_name({.bdf = bdf_of("0000:05:10.0")}), "0000:05:10.0");
  EXPECT_EQ(vfio::device_name({.bdf = bdf_of("0000:05:10.0"), .vf_token = "t"}),
            "0000:05:10.0 vf_token=t");
}

TEST(OpenDevice, ErrorsOfTokens) {
  EXPECT_THAT(opening_error("", EACCES), HasSubstr("wants a token for 0000:05:10.0"));
  EXPECT_THAT(opening_error("t", EACCES), HasSubstr("does not accept the vf_token"));
  EXPECT_THAT(opening_error("t", EINVAL), HasSubstr("remove vf_token"));
  EXPECT_THAT(opening_error("", EINVAL), HasSubstr("Invalid argument"));
  EXPECT_THAT(opening_error("t", ENODEV), HasSubstr("sriov_numvfs"));
  EXPECT_THAT(opening_error("", EBUSY), HasSubstr("stop that guest first"));
}

}  // namespace
}  // namespace gpuvm::vfio_errors_test
