// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/rtc_cmos.hpp"

#include <gtest/gtest.h>

#include <array>

#include "fakes.hpp"

namespace gpuvm::rtc_cmos_test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

struct RtcCmosTest : testing::Test {
  RtcCmos::Options options(bool timer) {
    RtcCmos::Options options;
    options.now = [this] { return now; };
    if (timer) {
      options.arm_timer = [this](std::optional<nanoseconds> delay) { armed.push_back(delay); };
    }
    return options;
  }
  static unsigned read(RtcCmos& rtc, unsigned index) {
    write8(rtc, 0, index);
    return read8(rtc, 1);
  }
  static void write(RtcCmos& rtc, unsigned index, unsigned value) {
    write8(rtc, 0, index);
    write8(rtc, 1, value);
  }
  nanoseconds now = 1709251198s;
  std::vector<std::optional<nanoseconds>> armed;
  FakePins pins;
};

TEST_F(RtcCmosTest, IndexAndData) {
  RtcCmos rtc(options(false), pins);
  EXPECT_EQ(read(rtc, 0x32), 0x20u);
  EXPECT_EQ(read(rtc, 0x80 | 0x09), 0x24u) << "bit 7 is the NMI mask";
}

TEST_F(RtcCmosTest, HostClockByDefault) {
  RtcCmos rtc({}, pins);
  EXPECT_EQ(read(rtc, 0x32), 0x20u) << "the 21st century";
  EXPECT_GE(read(rtc, 0x09), 0x24u);
}

TEST_F(RtcCmosTest, HostileAccesses) {
  RtcCmos rtc(options(true), pins);
  std::array<std::byte, 8> buffer{};
  for (std::uint64_t offset = 0; offset < 6; ++offset) {
    for (const std::size_t width : {2u, 4u, 8u}) {
      EXPECT_EQ(rtc.read(offset, std::span(buffer).first(width)), IoStatus::kInvalidSize);
      EXPECT_EQ(rtc.write(offset, std::span(buffer).first(width)), IoStatus::kInvalidSize);
    }
    EXPECT_EQ(rtc.read(offset, std::span(buffer).first(1)),
              offset == 1 ? IoStatus::kOk : IoStatus::kInvalidRegister);
    EXPECT_EQ(rtc.write(offset, std::span(buffer).first(1)),
              offset < 2 ? IoStatus::kOk : IoStatus::kInvalidRegister);
  }
}

TEST_F(RtcCmosTest, AlarmRaisesIrq8UntilRegisterCIsRead) {
  RtcCmos rtc(options(true), pins);
  write(rtc, 5, 0xff);
  write(rtc, 3, 0xff);
  write(rtc, 1, 0x05);
  EXPECT_TRUE(armed.empty()) << "nothing is enabled";
  write(rtc, 0x0b, 0x22);
  ASSERT_EQ(armed.size(), 1u);
  EXPECT_EQ(armed[0], 7s);
  now += 7s;
  rtc.timer_expired();
  EXPECT_EQ(pins.changes, (std::vector<FakePins::Change>{{8, true}}));
  EXPECT_EQ(read(rtc, 0x0c), 0xb0u);
  EXPECT_FALSE(pins.level());
  EXPECT_EQ(armed.back(), 60s) << "the next one";
  write(rtc, 0x0b, 0x02);
  EXPECT_EQ(armed.back(), std::nullopt) << "cancelled";
}

TEST_F(RtcCmosTest, EarlyTimerIsArmedAgain) {
  RtcCmos rtc(options(true), pins);
  write(rtc, 0x0b, 0x12);
  now += 999ms;
  rtc.timer_expired();
  EXPECT_FALSE(pins.level());
  EXPECT_EQ(armed.back(), 1ms);
}

TEST_F(RtcCmosTest, ResetLowersThePin) {
  RtcCmos rtc(options(true), pins);
  write(rtc, 0x0b, 0x12);
  now += 1s;
  rtc.timer_expired();
  EXPECT_TRUE(pins.level());
  rtc.reset();
  EXPECT_FALSE(pins.level());
  now += 100s;
  rtc.timer_expired();
  EXPECT_FALSE(pins.level()) << "no interrupt is enabled any more";
  EXPECT_EQ(armed.size(), 1u);
}

TEST_F(RtcCmosTest, WithoutATimerNoInterruptIsPromised) {
  RtcCmos without(options(false), pins);
  RtcCmos with(options(true), pins);
  write(without, 5, 0x12);  // no alarm near
  write(without, 0x0b, 0x32);
  now += 5s;
  EXPECT_EQ(read(without, 0x0c), 0x90u);
  EXPECT_TRUE(pins.changes.empty());
  EXPECT_LT(aml::join(without.acpi()).bytes.size(), aml::join(with.acpi()).bytes.size());
}

}  // namespace
}  // namespace gpuvm::rtc_cmos_test
