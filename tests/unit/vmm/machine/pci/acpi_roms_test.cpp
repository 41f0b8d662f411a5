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

/// Two functions behind ports of their own, each the first of its port.
class TwinsTest : public test::FunctionTest {
 protected:
  struct Card {
    std::uint16_t device_id = 0x67df;
    std::uint32_t class_code = 0x038000;
    std::uint8_t version = 0;  ///< the last byte of its ROM; 0: none
    std::uint8_t function = 0;
  };
  void add(const Card& card) {
    auto& each = cards_.emplace_back();
    each.device = std::make_unique<test::FakePhysicalDevice>(test::gt710_config(), "0000:01:00.0");
    each.device->set_irq(IrqType::kIntx, 1);
    const auto number = static_cast<std::uint8_t>(cards_.size());
    each.port = RootPort::create({.name = "port", .device = number}).value();
    EXPECT_TRUE(each.port->set_power_on_setup({.secondary = number, .subordinate = number}));
    auto wanted = options(*each.device, "card" + std::to_string(number));
    wanted.view.identity = {
        .vendor = 0x1002, .device = card.device_id, .class_code = card.class_code};
    wanted.view.rom.hidden = card.version == 0;
    wanted.view.rom.contents.assign(2048, std::byte{0x90});
    wanted.view.rom.contents.back() = std::byte{card.version};
    each.function = create(std::move(wanted)).value();
    ASSERT_TRUE(roms_.add(AcpiRomChoice::kAuto, *each.port, card.function, *each.function));
  }
  /// The last byte of the ROM that Linux's amdgpu takes from the table for the function; 0: none.
  unsigned version_for(std::uint16_t device_id, std::uint8_t devfn) const {
    for (const AcpiRom& rom : roms_.describe()) {
      if (rom.in_vfct && rom.vendor == 0x1002 && rom.device == device_id && rom.devfn == devfn) {
        return std::to_integer<unsigned>(rom.image.back());
      }
    }
    return 0;
  }

 private:
  struct Made {
    std::unique_ptr<test::FakePhysicalDevice> device;
    std::unique_ptr<RootPort> port;
    std::unique_ptr<PassthroughFunction> function;
  };
  std::vector<Made> cards_;

 protected:
  AcpiRoms roms_;
};

// first-real-card.md, E: the second one got the first one's.
TEST_F(TwinsTest, OfDifferentRomsAreNotInTheVfct) {
  add({.version = 1});
  EXPECT_EQ(version_for(0x67df, 0), 1U);
  add({.version = 2});
  EXPECT_EQ(version_for(0x67df, 0), 0U);
  EXPECT_EQ(roms_.describe().size(), 2U) << "_ROM is each one's own";
}

TEST_F(TwinsTest, OfTheSameRomAreInTheVfct) {
  add({.version = 1});
  add({.version = 1});
  EXPECT_EQ(version_for(0x67df, 0), 1U);
  add({.version = 2});
  EXPECT_EQ(version_for(0x67df, 0), 0U) << "a third one that differs";
}

TEST_F(TwinsTest, OneThatAcpiHasNothingForIsATwinToo) {
  add({.class_code = 0x030000, .version = 1});
  add({.version = 2});
  EXPECT_EQ(version_for(0x67df, 0), 0U);
  add({.device_id = 0x67ff, .version = 3});
  add({.device_id = 0x67ff, .class_code = 0x030000});
  EXPECT_EQ(version_for(0x67ff, 0), 0U) << "the user wants none for the second one";
}

TEST_F(TwinsTest, OthersAreNone) {
  add({.version = 1});
  add({.device_id = 0x67ff, .version = 2});
  add({.version = 3, .function = 1});
  EXPECT_EQ(version_for(0x67df, 0), 1U);
  EXPECT_EQ(version_for(0x67ff, 0), 2U);
  EXPECT_EQ(version_for(0x67df, 1), 3U);
}

}  // namespace
}  // namespace gpuvm::acpi_roms_test
