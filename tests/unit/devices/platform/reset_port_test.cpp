// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/reset_port.hpp"

#include <gtest/gtest.h>

#include <array>

#include "fakes.hpp"

namespace gpuvm::reset_port_test {
namespace {

struct ResetPortTest : testing::Test {
  int resets = 0;
  ResetPort port{{.power_off = {}, .reset = [this] { ++resets; }}};
};

// As Linux does it: SYS_RST first, then RST_CPU.
TEST_F(ResetPortTest, ResetsWhenRstCpuRises) {
  write8(port, 0, 0x02);
  EXPECT_EQ(resets, 0);
  EXPECT_EQ(read8(port, 0), 0x02);
  write8(port, 0, 0x06);
  EXPECT_EQ(resets, 1);
  write8(port, 0, 0x0e);
  EXPECT_EQ(resets, 1) << "RST_CPU did not rise";
  write8(port, 0, 0x00);
  write8(port, 0, 0x0e);
  EXPECT_EQ(resets, 2);
}

// As ACPI does it: the FADT's value in one write, again after each reset.
TEST_F(ResetPortTest, FadtValueResetsEachTime) {
  write8(port, 0, kResetValue);
  port.reset();
  EXPECT_EQ(read8(port, 0), 0);
  write8(port, 0, kResetValue);
  EXPECT_EQ(resets, 2);
}

TEST_F(ResetPortTest, OtherBitsDoNot) {
  for (unsigned value = 0; value < 256; ++value) {
    if ((value & kResetCpu) == 0) {
      write8(port, 0, value);
      EXPECT_EQ(read8(port, 0), value);
    }
  }
  EXPECT_EQ(resets, 0);
}

TEST_F(ResetPortTest, HostileAccesses) {
  std::array<std::byte, 8> buffer;
  buffer.fill(std::byte{0xff});
  for (std::uint64_t offset = 0; offset < 4; ++offset) {
    for (const std::size_t width : {1u, 2u, 4u, 8u}) {
      if (offset == 0 && width == 1) {
        continue;
      }
      EXPECT_NE(port.write(offset, std::span(buffer).first(width)), IoStatus::kOk);
      EXPECT_NE(port.read(offset, std::span(buffer).first(width)), IoStatus::kOk);
    }
  }
  EXPECT_EQ(resets, 0);
}

}  // namespace
}  // namespace gpuvm::reset_port_test
