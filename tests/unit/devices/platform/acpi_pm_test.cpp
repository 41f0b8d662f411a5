// SPDX-License-Identifier: Apache-2.0
// Sections are those of ACPI 6.5.
#include "devices/platform/acpi_pm.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "fakes.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::acpi_pm_test {
namespace {

using namespace std::chrono_literals;
using Changes = std::vector<FakePins::Change>;

struct AcpiPmTest : testing::Test {
  std::uint64_t read(std::uint64_t offset, std::size_t width) {
    std::array<std::byte, 8> buffer{};
    const auto bytes = std::span(buffer).first(width);
    EXPECT_EQ(pm.read(offset, bytes), IoStatus::kOk) << offset;
    return load_le(bytes);
  }
  void write(std::uint64_t offset, std::size_t width, std::uint64_t value) {
    std::array<std::byte, 8> buffer{};
    store_le(buffer, value);
    EXPECT_EQ(pm.write(offset, std::span(buffer).first(width)), IoStatus::kOk) << offset;
  }
  std::chrono::nanoseconds now{12345s};
  int power_offs = 0;
  FakePins pins;
  AcpiPm pm{{.power_off = [this] { ++power_offs; }, .reset = {}}, pins, [this] { return now; }};
};

// 4.8.3.3: 3.579545 MHz.
TEST_F(AcpiPmTest, TimerCounts) {
  EXPECT_EQ(read(8, 4), 0u);
  now += 1s;
  EXPECT_EQ(read(8, 4), 3'579'545u);
  now += 100ns;
  EXPECT_EQ(read(8, 4), 3'579'545u);
  now += 180ns;
  EXPECT_EQ(read(8, 4), 3'579'546u);
  EXPECT_EQ(read(8, 2), 3'579'546u & 0xffff);
  EXPECT_EQ(read(11, 1), 0u);
}

TEST_F(AcpiPmTest, TimerWrapsAndStaysExactForYears) {
  now += 1200s;
  const std::uint64_t ticks = 1200 * std::uint64_t{3'579'545};
  ASSERT_GT(ticks, 0xffff'ffff);
  EXPECT_EQ(read(8, 4), ticks & 0xffff'ffff);
  now += 24h * 3650;
  EXPECT_EQ(read(8, 4), (ticks + std::uint64_t{3650} * 86400 * 3'579'545) & 0xffff'ffff);
  write(8, 4, 0);
  EXPECT_NE(read(8, 4), 0u) << "read-only";
}

// 4.8.4.1.1: TMR_STS whenever the timer's top bit changes; a one clears it.
TEST_F(AcpiPmTest, TimerStatus) {
  now += 599s;
  EXPECT_EQ(read(0, 2), 0u);
  now += 2s;
  EXPECT_EQ(read(0, 2), kPm1Timer);
  write(0, 2, kPm1Timer);
  EXPECT_EQ(read(0, 2), 0u);
  now += 600s;
  EXPECT_EQ(read(0, 2), kPm1Timer);
  write(2, 2, kPm1Timer);
  EXPECT_TRUE(pins.level());
}

// 4.8.2.5: without an SMI command the SCI is always enabled.
TEST_F(AcpiPmTest, SciEnableIsAlwaysSet) {
  EXPECT_EQ(read(4, 2), kPm1SciEnable);
  write(4, 2, 0);
  EXPECT_EQ(read(4, 2), kPm1SciEnable);
}

// 4.8.3.1.1: the button sets PWRBTN_STS; with PWRBTN_EN it raises the SCI until the status is
// cleared.
TEST_F(AcpiPmTest, PowerButton) {
  pm.press_power_button();
  EXPECT_EQ(read(0, 2), kPm1PowerButton);
  EXPECT_TRUE(pins.changes.empty()) << "not enabled";
  write(0, 2, 0xffff);
  write(2, 2, kPm1PowerButton);
  EXPECT_EQ(read(2, 2), kPm1PowerButton);
  pm.press_power_button();
  pm.press_power_button();
  EXPECT_EQ(pins.changes, (Changes{{9, true}}));
  write(0, 2, kPm1Timer);
  EXPECT_TRUE(pins.level()) << "another bit was cleared";
  write(1, 1, kPm1PowerButton >> 8);
  EXPECT_EQ(pins.changes, (Changes{{9, true}, {9, false}}));
}

// 4.8.4.1.2: RTC_EN reads back what was written, reserved bits read as zero.
TEST_F(AcpiPmTest, EnableBitsReadBack) {
  write(2, 2, 0xffff);
  EXPECT_EQ(read(2, 2), kPm1Timer | kPm1Global | kPm1PowerButton | kPm1Rtc);
  EXPECT_FALSE(pins.level()) << "no status bit is set";
}

TEST_F(AcpiPmTest, StatusAndEnableInOneDword) {
  pm.press_power_button();
  write(0, 4, std::uint64_t{kPm1PowerButton} << 16);
  EXPECT_EQ(read(0, 4), kPm1PowerButton | std::uint64_t{kPm1PowerButton} << 16);
  EXPECT_TRUE(pins.level());
}

// 4.8.4.2.1: SLP_TYP and SLP_EN.
TEST_F(AcpiPmTest, SoftOff) {
  write(4, 2, kS5SleepType << kPm1SleepTypeShift);
  EXPECT_EQ(power_offs, 0) << "SLP_EN is missing";
  EXPECT_EQ(read(4, 2), kPm1SciEnable | kS5SleepType << kPm1SleepTypeShift);
  write(4, 2, kS5SleepType << kPm1SleepTypeShift | kPm1SleepEnable);
  EXPECT_EQ(power_offs, 1);
  EXPECT_EQ(read(4, 2) & kPm1SleepEnable, 0u) << "write-only";
  write(5, 1, (kS5SleepType << kPm1SleepTypeShift | kPm1SleepEnable) >> 8);
  EXPECT_EQ(power_offs, 2);
}

// OVMF writes SLP_TYP 0, then SLP_EN (edk2, OvmfPkg ResetSystemLib).
TEST_F(AcpiPmTest, SoftOffAsOvmfWantsIt) {
  AcpiPm other({.power_off = [this] { ++power_offs; }, .reset = {}}, pins, {}, kOvmfS5SleepType);
  const std::array<std::byte, 2> enable = {std::byte{0}, std::byte{kPm1SleepEnable >> 8}};
  EXPECT_EQ(other.write(4, enable), IoStatus::kOk);
  EXPECT_EQ(power_offs, 1);
  EXPECT_NE(aml::join(other.acpi()).bytes, aml::join(pm.acpi()).bytes) << "\\_S5 says so too";
}

TEST_F(AcpiPmTest, OtherSleepTypesDoNothing) {
  for (unsigned type = 0; type < 8; ++type) {
    if (type != kS5SleepType) {
      write(4, 2, type << kPm1SleepTypeShift | kPm1SleepEnable);
    }
  }
  EXPECT_EQ(power_offs, 0);
}

TEST_F(AcpiPmTest, ResetClearsAllButTheTimer) {
  write(2, 2, 0xffff);
  pm.press_power_button();
  write(4, 2, 0x1c00);
  now += 700s;
  const auto ticks = read(8, 4);
  pm.reset();
  EXPECT_FALSE(pins.level());
  EXPECT_EQ(read(0, 4), 0u);
  EXPECT_EQ(read(4, 2), kPm1SciEnable);
  EXPECT_EQ(read(8, 4), ticks);
}

TEST_F(AcpiPmTest, EveryOffsetAndWidth) {
  std::array<std::byte, 8> buffer{};
  std::fill(buffer.begin(), buffer.end(), std::byte{0xdf});  // without SLP_EN
  for (std::uint64_t offset = 0; offset < 24; ++offset) {
    for (const std::size_t width : {1u, 2u, 4u, 8u}) {
      const auto expected =
          offset + width <= AcpiPm::kPortCount ? IoStatus::kOk : IoStatus::kInvalidSize;
      EXPECT_EQ(pm.write(offset, std::span(buffer).first(width)), expected);
      std::array<std::byte, 8> out{};
      EXPECT_EQ(pm.read(offset, std::span(out).first(width)), expected);
    }
  }
  EXPECT_EQ(pm.read(~std::uint64_t{0}, std::span(buffer).first(1)), IoStatus::kInvalidSize);
  EXPECT_EQ(read(2, 2) & ~unsigned(kPm1Timer | kPm1Global | kPm1PowerButton | kPm1Rtc), 0u);
  EXPECT_EQ(read(6, 2), 0u);
}

// 7.4.2.5: \_S5 names the same SLP_TYP.
TEST_F(AcpiPmTest, S5PackageHasTheSleepType) {
  const auto bytes = aml::join(pm.acpi()).bytes;
  const auto expected =
      to_bytes(std::string("\\_S5_") + '\x12' + '\x08' + '\x04' + '\x0a' + char{kS5SleepType} +
               '\x0a' + char{kS5SleepType} + std::string(2, '\0'));
  EXPECT_NE(std::search(bytes.begin(), bytes.end(), expected.begin(), expected.end()), bytes.end());
}

}  // namespace
}  // namespace gpuvm::acpi_pm_test
