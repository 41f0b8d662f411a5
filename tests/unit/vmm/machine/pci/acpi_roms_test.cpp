// SPDX-License-Identifier: Apache-2.0
// Which functions' option ROMs ACPI gets, over a fake device.
#include "vmm/machine/pci/acpi_roms.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"

namespace gpuvm::acpi_roms_test {
namespace {

class AcpiRomsTest : public test::FunctionTest {
 protected:
  AcpiRomsTest() {
    std::vector<std::byte> rom(2048, std::byte{0x90});
    rom[0] = std::byte{0x55};
    rom[1] = std::byte{0xaa};
    device_.add_rom(std::move(rom));
    device_.set_irq(IrqType::kIntx, 1);
    port_ = RootPort::create({.name = "port-0", .device = 2}).value();
    EXPECT_TRUE(port_->set_power_on_setup({.secondary = 5, .subordinate = 5}));
  }

  Status add(AcpiRomChoice mode, IdentityOverrides identity = {}, bool has_rom = true) {
    auto wanted = options(device_, device_.name());
    wanted.view.rom.hidden = !has_rom;
    wanted.view.identity = identity;
    function_ = create(std::move(wanted)).value();
    return roms_.add(mode, *port_, 1, *function_);
  }

  test::FakePhysicalDevice device_{test::gt710_config(), "0000:01:00.0"};
  std::unique_ptr<RootPort> port_;
  std::unique_ptr<PassthroughFunction> function_;
  AcpiRoms roms_;
};

TEST(AcpiRomPolicy, IsForGpusWithoutAScreen) {
  EXPECT_NE(find_acpi_rom_policy(0x10de, 0x030200), nullptr);
  EXPECT_NE(find_acpi_rom_policy(0x1002, 0x030200), nullptr);
  EXPECT_NE(find_acpi_rom_policy(0x1002, 0x038000), nullptr);
  EXPECT_EQ(find_acpi_rom_policy(0x10de, 0x038000), nullptr);
  EXPECT_EQ(find_acpi_rom_policy(0x10de, 0x030000), nullptr);
  EXPECT_EQ(find_acpi_rom_policy(0x1002, 0x040300), nullptr);
}

TEST_F(AcpiRomsTest, GpuWithAScreenHasNoneUnlessTheUserWants) {
  const auto reads = [this] {
    return std::count(device_.history.begin(), device_.history.end(), "read rom");
  };
  ASSERT_TRUE(add(AcpiRomChoice::kAuto));
  EXPECT_TRUE(roms_.describe().empty());
  EXPECT_EQ(reads(), 1) << "looked at, not read";
  ASSERT_TRUE(add(AcpiRomChoice::kOn));
  ASSERT_EQ(roms_.describe().size(), 1U);
}

TEST_F(AcpiRomsTest, DescribesWhatTheGuestSees) {
  ASSERT_TRUE(add(AcpiRomChoice::kAuto, {.vendor = 0x1002,
                                         .device = 0x67df,
                                         .subsystem_vendor = 0x1043,
                                         .subsystem_device = 0x0519,
                                         .class_code = 0x038000}));
  const auto roms = roms_.describe();
  ASSERT_EQ(roms.size(), 1U);
  EXPECT_EQ(roms[0].port_path, "\\_SB.PCI0.S10");
  EXPECT_EQ(roms[0].bus, 5);
  EXPECT_EQ(roms[0].devfn, 1);
  EXPECT_EQ(roms[0].vendor, 0x1002);
  EXPECT_EQ(roms[0].device, 0x67df);
  EXPECT_EQ(roms[0].subsystem_vendor, 0x1043);
  EXPECT_EQ(roms[0].subsystem_device, 0x0519);
  EXPECT_EQ(roms[0].revision, 0xa1);
  EXPECT_EQ(roms[0].image.size(), 2048U);
  port_->config_write(pci::kPrimaryBus, 9U << 8, 0xff00);  // as firmware numbers buses
  EXPECT_EQ(roms_.describe()[0].bus, 9);
}

TEST_F(AcpiRomsTest, WithoutARomOnlyTheInsistentHearOfIt) {
  ASSERT_TRUE(add(AcpiRomChoice::kAuto, {.class_code = 0x030200}, false));
  EXPECT_TRUE(roms_.describe().empty());
  ASSERT_TRUE(add(AcpiRomChoice::kOff, {.class_code = 0x030200}));
  EXPECT_TRUE(roms_.describe().empty());
  const auto refused = add(AcpiRomChoice::kOn, {}, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConfig);
}

}  // namespace
}  // namespace gpuvm::acpi_roms_test
