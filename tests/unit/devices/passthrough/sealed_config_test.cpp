// SPDX-License-Identifier: Apache-2.0
// What a guest's writes to configuration space must not reach, told by the hardware: bodies of
// hidden capabilities, error reporting, self-tests, memory of the card.
#include <gtest/gtest.h>

#include <vector>

#include "devices/passthrough/passthrough_function.hpp"
#include "tests/unit/devices/passthrough/passthrough_function_fixture.hpp"

namespace gpuvm::sealed_config_test {
namespace {

using test::ConfigBuilder;
using test::FakePhysicalDevice;
using test::PassthroughFunctionTest;

std::vector<std::byte> hostile_config() {
  return ConfigBuilder()
      .dword(0x00, 0x43211234)
      .dword(0x04, 0x00100000)
      .dword(0x08, 0x02000001)
      .dword(0x34, 0x40)
      .dword(0x40, 0x00016014)  // Enhanced Allocation, one entry
      .dword(0x44, 0x80000004)
      .dword(0x48, 0xfe000000)  // an address of the host
      .dword(0x4c, 0x000ffffc)
      .dword(0x60, 0x00007003)  // Vital Product Data
      .dword(0x70, 0x0000807e)  // which nobody knows
      .dword(0x74, 0x55555555)
      .dword(0x80, 0x00020010)  // PCI Express
      .extended(0x100, 0x37, 0x200)
      .extended(0x200, 0x10, 0x240)
      .extended(0x240, 0x23, 0x260)
      .extended(0x260, 0x2e, 0)
      .bytes();
}

class SealedConfigTest : public PassthroughFunctionTest {
 protected:
  /// Whether anything reaches the hardware.
  bool reaches(PciFunction& function, std::uint16_t offset, std::uint32_t value) {
    const auto before = device_.config_dword(offset);
    write(function, offset, value);
    return device_.config_dword(offset) != before;
  }
  FakePhysicalDevice device_{hostile_config()};
};

TEST_F(SealedConfigTest, HiddenCapabilitiesAreReadAsZeroAndNotWritten) {
  const auto function = make(device_);
  constexpr std::uint16_t kOffsets[] = {0x40,  0x44,  0x48,  0x4c,  0x70,  0x74,
                                        0x108, 0x1fc, 0x208, 0x210, 0x268, 0x270};
  for (const std::uint16_t offset : kOffsets) {
    EXPECT_FALSE(reaches(*function, offset, 0xdeadbeef)) << offset;
    EXPECT_EQ(function->config_read(offset), 0U) << offset;
  }
}

TEST_F(SealedConfigTest, WhatOutlivesTheGuestOrReachesTheHostIsNotWritten) {
  const auto function = make(device_);
  command(*function, 0x0140);
  EXPECT_EQ(device_.config_dword(4) & 0x140, 0U) << "SERR and parity errors";
  EXPECT_FALSE(reaches(*function, 0x0c, 0x40000000)) << "a self-test";
  EXPECT_FALSE(reaches(*function, 0x60, 0x80000003)) << "a write of the card's memory";
  EXPECT_FALSE(reaches(*function, 0x64, 0x12345678)) << "and its data";
  EXPECT_TRUE(reaches(*function, 0x60, 0x00040003)) << "a read of it";
  EXPECT_FALSE(reaches(*function, 0x88, 0x000f)) << "reporting of errors";
  EXPECT_TRUE(reaches(*function, 0x88, 0x0010)) << "what else Device Control has";
  EXPECT_FALSE(reaches(*function, 0x248, 0xffffffff)) << "a vendor's switches";
}

TEST_F(SealedConfigTest, TheFirmwaresErrorReportingOutlivesTheGuestsResets) {
  auto config = test::upd720200_config();
  config[0x04] |= std::byte{0x40};
  config[0x05] |= std::byte{0x01};
  FakePhysicalDevice device(config);
  device.set_irq(IrqType::kIntx, 1);
  const auto function = make(device);
  command(*function, 0x0006);
  EXPECT_EQ(device.config_dword(4) & 0x146, 0x146U);
  EXPECT_EQ(function->config_read(4) & 0x140, 0x140U);
}

}  // namespace
}  // namespace gpuvm::sealed_config_test
