// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/describe_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/firmware/efi/kernel_bytes.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::describe_tree_test {
namespace {

using testing::HasSubstr;
using testing::Not;

class DescribeTreeTest : public testing::Test {
 protected:
  DescribeTreeTest() {
    host_.directory("/boot");
    config_.boot.kernel = host_.path("/boot/kernel");
    KernelBytes().write_to(config_.boot.kernel);
    config_.boot.mode = BootMode::kEfiHandover;
    config_.boot.vars = host_.path("/boot/vars");
    config_.machine.memory = 256_MiB;
  }
  void add_device(const std::string& bdf, const std::string& class_code, const std::string& bars) {
    host_.add_device(bdf, class_code, 1, "");
    host_.file("/sys/bus/pci/devices/" + bdf + "/resource", bars);
  }

  FakeHost host_;
  Config config_;
};

constexpr const char* kNone = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";

TEST_F(DescribeTreeTest, FunctionsAreDescribedFromSysfs) {
  // A GPU: 16 MiB of registers, 256 MiB prefetchable with 64 bits, 128 ports, a ROM; its audio.
  add_device("0000:01:00.0", "0x030000",
             std::string("0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n") +
                 "0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n" + kNone + kNone +
                 kNone + "0x000000000000e000 0x000000000000e07f 0x0000000000040101\n" +
                 "0x00000000f7000000 0x00000000f707ffff 0x0000000000046200\n");
  add_device("0000:01:00.1", "0x040300",
             std::string("0x00000000f7080000 0x00000000f7083fff 0x0000000000040200\n") + kNone +
                 kNone + kNone + kNone + kNone + kNone);
  config_.pci.push_back({.host = bdf_of("0000:01:00.0"), .functions = {}});
  const auto source = describe_tree(config_, host_);
  ASSERT_TRUE(source) << source.error().to_string();
  EXPECT_THAT(*source, HasSubstr("/dts-v1/;"));
  EXPECT_THAT(*source, HasSubstr("vendor-id = <0x10de>"));
  // PCI Bus Binding: phys.hi of BAR 0 (not relocatable, 32-bit memory, bus 1), then the address.
  EXPECT_THAT(*source, HasSubstr("0x82010010 0x0 0x80000000 0x0 0x1000000"));
  EXPECT_THAT(*source, HasSubstr("0xc3010014 0x1 0x0 0x0 0x10000000"));
  EXPECT_THAT(*source, HasSubstr("0x81010024 0x0 0x1000 0x0 0x80"));
  EXPECT_THAT(*source, HasSubstr("0x82010110 0x0 0x81080000 0x0 0x4000"));  // behind the ROM's BAR
  EXPECT_THAT(*source, Not(HasSubstr("0x82010030")));
  EXPECT_TRUE(host_.writes.empty());
}

TEST_F(DescribeTreeTest, ABarThatTakesTheMsixTable) {
  add_device("0000:01:00.0", "0x010802",
             std::string("0x00000000f6000000 0x00000000f6003fff 0x0000000000040200\n") + kNone +
                 "0x00000000f6010000 0x00000000f6010fff 0x0000000000040200\n" + kNone + kNone +
                 kNone + kNone);
  std::string config(256, '\0');
  config[6] = 0x10;
  config[0x34] = 0x40;
  config.replace(0x40, 12, std::string("\x11\0\x0f\0\0\x20\0\0\0\x30\0\0", 12));
  host_.file("/sys/bus/pci/devices/0000:01:00.0/config", config);
  config_.pci.push_back({.host = bdf_of("0000:01:00.0"), .functions = {}});
  config_.pci[0].msix_relocation = PciMsixRelocation::kBar1;
  auto source = describe_tree(config_, host_);
  ASSERT_TRUE(source) << source.error().to_string();
  EXPECT_THAT(*source, HasSubstr("0x82010014 0x0 0x80004000 0x0 0x1000"));
  config_.pci[0].msix_relocation = PciMsixRelocation::kBar0;
  source = describe_tree(config_, host_);
  ASSERT_TRUE(source) << source.error().to_string();
  EXPECT_THAT(*source, HasSubstr("0x82010010 0x0 0x80000000 0x0 0x8000"));
  EXPECT_THAT(*source, Not(HasSubstr("0x82010014")));
}

TEST_F(DescribeTreeTest, NothingIsTouched) {
  host_.file("/boot/vars", "no variables at all");
  ASSERT_TRUE(describe_tree(config_, host_));
  EXPECT_EQ(host_.read("/boot/vars").value(), "no variables at all");
  EXPECT_FALSE(host_.exists("/boot/vars.damaged"));
}

TEST_F(DescribeTreeTest, OtherModesHaveNoTree) {
  config_.boot.mode = BootMode::kLinux;
  const auto source = describe_tree(config_, host_);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(source.error().to_string(), HasSubstr("--set boot.mode=efi-handover"));
}

TEST_F(DescribeTreeTest, AnAbsentDeviceIsSaid) {
  config_.pci.push_back({.host = bdf_of("0000:01:00.0"), .functions = {}});
  const auto source = describe_tree(config_, host_);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind(), ErrorKind::kConfig);
}

TEST_F(DescribeTreeTest, ResourcesThatMakeNoSenseAreAnError) {
  add_device("0000:01:00.0", "0x030000", "what is this\n");
  config_.pci.push_back({.host = bdf_of("0000:01:00.0"), .functions = {}});
  const auto source = describe_tree(config_, host_);
  ASSERT_FALSE(source);
  EXPECT_THAT(source.error().to_string(), HasSubstr("Cannot make sense of"));
  EXPECT_THAT(source.error().to_string(), HasSubstr("0000:01:00.0/resource"));
}

}  // namespace
}  // namespace gpuvm::describe_tree_test
