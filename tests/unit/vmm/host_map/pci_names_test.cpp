// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/pci_names.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::pci_names_test {
namespace {

constexpr const char* kList =
    "# a comment\n"
    "10de  NVIDIA Corporation\n"
    "\t1b80  GP104 [GeForce GTX 1080]\n"
    "\t\t1462 3369  a subsystem\n"
    "1912  Renesas Technology Corp.\n"
    "\t0014  uPD720201 USB 3.0 Host Controller\n"
    "zzzz  no vendor\n"
    "\t1234  of nobody\n"
    "12\n"
    "C 03  Display controller\n"
    "\t00  VGA compatible controller\n"
    "\t\t00  VGA controller\n"
    "C 13  Non-Essential Instrumentation\n";

TEST(PciNames, NamesAsLspciPrintsThem) {
  const PciNames names(kList);
  EXPECT_EQ(names.device_name({.vendor = 0x10de, .device = 0x1b80}),
            "NVIDIA Corporation GP104 [GeForce GTX 1080]");
  EXPECT_EQ(names.device_name({.vendor = 0x10de, .device = 0x9999}), "NVIDIA Corporation Device");
  EXPECT_EQ(names.device_name({.vendor = 0x8086, .device = 0x1b80}), "Device");
  EXPECT_EQ(names.class_name(0x030000), "VGA compatible controller");
  EXPECT_EQ(names.class_name(0x038000), "Display controller");
  EXPECT_EQ(names.class_name(0x130000), "Non-Essential Instrumentation");
  EXPECT_EQ(names.class_name(0x060400), "Class");
}

TEST(PciNames, LinesThatMakeNoSenseArePassedOver) {
  EXPECT_TRUE(PciNames("").is_empty());
  EXPECT_TRUE(PciNames("\t\t\n\t\nC \nC zz\n10de\n\xff\xfe\n10dex\n").is_empty());
  // A device whose vendor's line was bad belongs to nobody, not to the vendor before.
  EXPECT_EQ(PciNames(kList).device_name({.vendor = 0x1912, .device = 0x1234}),
            "Renesas Technology Corp. Device");
}

TEST(PciNames, AnExcerptNamesTheSame) {
  const std::array<PciIds, 2> ids = {
      PciIds{.vendor = 0x10de, .device = 0x1b80, .class_code = 0x030000},
      PciIds{.vendor = 0x4242, .device = 1, .class_code = 0x130000}};
  const auto excerpt = PciNames(kList).excerpt(ids);
  EXPECT_EQ(excerpt,
            "10de  NVIDIA Corporation\n\t1b80  GP104 [GeForce GTX 1080]\n"
            "C 03  Display controller\n\t00  VGA compatible controller\n"
            "C 13  Non-Essential Instrumentation\n");
  EXPECT_EQ(PciNames(excerpt).excerpt(ids), excerpt);
}

TEST(PciNames, TheListIsFoundWhereDistributionsHaveIt) {
  FakeHost host;
  EXPECT_TRUE(PciNames::of_host(host).is_empty());
  host.file("/usr/share/hwdata/pci.ids", kList);
  EXPECT_FALSE(PciNames::of_host(host).is_empty());
}

}  // namespace
}  // namespace gpuvm::pci_names_test
