// SPDX-License-Identifier: Apache-2.0
// Sections are those of the Motorola MC146818 data sheet.
#include "devices/platform/mc146818.hpp"

#include <gtest/gtest.h>

namespace gpuvm::mc146818_test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// 2024-02-29 23:59:58 UTC, a Thursday.
constexpr nanoseconds kLeapDay = 1709251198s;

struct Mc146818Test : testing::Test {
  unsigned read(unsigned index) { return clock.read(index, now); }
  void write(unsigned index, unsigned value) {
    clock.write(index, static_cast<std::uint8_t>(value), now);
  }
  /// seconds, minutes, hours, weekday, day, month, year, century
  std::vector<unsigned> time() {
    std::vector<unsigned> values;
    for (const unsigned index : {0u, 2u, 4u, 6u, 7u, 8u, 9u, 0x32u}) {
      values.push_back(read(index));
    }
    return values;
  }
  nanoseconds now = kLeapDay;
  Mc146818 clock{{}, kLeapDay};
};

using Values = std::vector<unsigned>;

TEST_F(Mc146818Test, BcdTimeWithCentury) {
  EXPECT_EQ(time(), (Values{0x58, 0x59, 0x23, 5, 0x29, 0x02, 0x24, 0x20}));
  now += 2s;
  EXPECT_EQ(time(), (Values{0, 0, 0, 6, 0x01, 0x03, 0x24, 0x20}));
}

// Register B: DM and 24/12.
TEST_F(Mc146818Test, BinaryAndTwelveHours) {
  write(0x0b, 0x06);
  EXPECT_EQ(time(), (Values{58, 59, 23, 5, 29, 2, 24, 20}));
  write(0x0b, 0x04);
  EXPECT_EQ(read(4), 0x80u | 11);
  write(0x0b, 0x00);
  EXPECT_EQ(read(4), 0x91u);
  now += 2s;
  EXPECT_EQ(read(4), 0x12u) << "midnight is 12 AM";
  now += 12h;
  EXPECT_EQ(read(4), 0x92u) << "noon is 12 PM";
  now += 1h;
  EXPECT_EQ(read(4), 0x81u);
}

// Register A: UIP rises 244 us before an update, and only then.
TEST_F(Mc146818Test, UpdateInProgress) {
  EXPECT_EQ(read(0x0a), 0x26u);
  now = kLeapDay + 1s - 245us;
  EXPECT_EQ(read(0x0a), 0x26u);
  now = kLeapDay + 1s - 244us;
  EXPECT_EQ(read(0x0a), 0xa6u);
  now = kLeapDay + 1s;
  EXPECT_EQ(read(0x0a), 0x26u);
  now = kLeapDay + 1s - 1us;
  write(0x0b, 0x82);
  EXPECT_EQ(read(0x0a), 0x26u) << "SET stops updates";
}

TEST_F(Mc146818Test, ControlRegisters) {
  EXPECT_EQ(read(0x0b), 0x02u);
  EXPECT_EQ(read(0x0d), 0x80u) << "the battery is good";
  write(0x0d, 0);
  write(0x0c, 0xff);
  EXPECT_EQ(read(0x0d), 0x80u);
  EXPECT_EQ(read(0x0c), 0u);
  write(0x0a, 0xff);
  EXPECT_EQ(read(0x0a), 0x7fu) << "UIP is read-only";
}

// As Linux's mc146818_set_time() does it: SET, divider reset, time, then both back; the clock goes
// on half a second later.
TEST_F(Mc146818Test, LinuxSetsTheTime) {
  write(0x0b, 0x82);
  write(0x0a, 0x76);
  for (const auto& [index, value] : std::vector<std::pair<unsigned, unsigned>>{
           {9, 0x31}, {8, 0x12}, {7, 0x31}, {4, 0x23}, {2, 0x59}, {0, 0x59}, {0x32, 0x19}}) {
    write(index, value);
  }
  now += 5s;
  EXPECT_EQ(read(0), 0x59u) << "stopped";
  write(0x0b, 0x02);
  EXPECT_EQ(read(0), 0x59u) << "still held by the divider";
  write(0x0a, 0x26);
  EXPECT_EQ(time(), (Values{0x59, 0x59, 0x23, 5, 0x31, 0x12, 0x31, 0x19}));
  now += 499ms;
  EXPECT_EQ(read(0), 0x59u);
  now += 1ms;
  EXPECT_EQ(time(), (Values{0, 0, 0, 6, 0x01, 0x01, 0x32, 0x19}));
}

TEST_F(Mc146818Test, EverySecondOfASetTimeComesBack) {
  for (unsigned hour = 0; hour < 24; ++hour) {
    for (const unsigned mode : {0x00u, 0x02u, 0x04u, 0x06u}) {
      write(0x0b, 0x80 | mode);
      const bool binary = (mode & 4) != 0;
      const unsigned shown = (mode & 2) != 0 ? hour : (hour + 11) % 12 + 1;
      const unsigned pm = (mode & 2) == 0 && hour >= 12 ? 0x80 : 0;
      const unsigned raw = (binary ? shown : shown / 10 * 16 + shown % 10) | pm;
      write(4, raw);
      write(0x0b, mode);
      EXPECT_EQ(read(4), raw) << hour << " in mode " << mode;
      write(0x0b, 0x06);
      EXPECT_EQ(read(4), hour);
    }
  }
}

TEST_F(Mc146818Test, SetTimeSurvivesReset) {
  write(0x0b, 0x82);
  write(9, 0x40);
  write(0x0b, 0x02);
  write(0x0b, 0x32);
  write(0x50, 0xab);
  clock.reset(now);
  EXPECT_EQ(read(9), 0x40u);
  EXPECT_EQ(read(0x50), 0xabu);
  EXPECT_EQ(read(0x0b), 0x02u) << "RESET clears the interrupt enables, keeps the format";
}

TEST_F(Mc146818Test, RamIsStorageAndAlarmsToo) {
  for (unsigned index = 0x0e; index < 0x80; ++index) {
    if (index != Mc146818::kCentury) {
      write(index, index ^ 0x5a);
    }
  }
  for (unsigned index = 0x0e; index < 0x80; ++index) {
    if (index != Mc146818::kCentury) {
      EXPECT_EQ(read(index), index ^ 0x5a);
    }
  }
  for (const unsigned index : {1u, 3u, 5u}) {
    write(index, 0x12);
    EXPECT_EQ(read(index), 0x12u);
  }
  EXPECT_EQ(read(0x80 + 0x50), read(0x50)) << "seven address lines";
}

TEST(Mc146818Memory, SizesForFirmware) {
  Mc146818 clock({.below_4g = 0x8000'0000, .above_4g = 0x1'8000'0000}, kLeapDay);
  const auto read = [&](unsigned index) { return unsigned{clock.read(index, kLeapDay)}; };
  EXPECT_EQ(read(0x34) | read(0x35) << 8, (0x8000'0000u - 0x100'0000u) / 0x10000);
  EXPECT_EQ(read(0x5b) | read(0x5c) << 8 | read(0x5d) << 16, 0x18000u);
  Mc146818 tiny({.below_4g = 0x10'0000, .above_4g = ~std::uint64_t{0}}, kLeapDay);
  EXPECT_EQ(tiny.read(0x34, kLeapDay), 0);
  EXPECT_EQ(tiny.read(0x5d, kLeapDay), 0xff);
}

// Register C: UF once a second, read clears; IRQF only if enabled in B.
TEST_F(Mc146818Test, UpdateEndedFlag) {
  write(5, 0x12);  // no alarm near
  EXPECT_EQ(read(0x0c), 0u);
  now += 999ms;
  EXPECT_EQ(read(0x0c), 0u);
  now += 1ms;
  EXPECT_EQ(read(0x0c), 0x10u);
  EXPECT_EQ(read(0x0c), 0u);
  write(0x0b, 0x12);
  EXPECT_EQ(clock.next_interrupt(now), kLeapDay + 2s);
  now += 1s;
  EXPECT_TRUE(clock.interrupt(now));
  EXPECT_FALSE(clock.next_interrupt(now).has_value()) << "pending already";
  EXPECT_EQ(read(0x0c), 0x90u);
  EXPECT_FALSE(clock.interrupt(now));
}

TEST_F(Mc146818Test, AlarmAtATime) {
  write(5, 0x00);
  write(3, 0x00);
  write(1, 0x05);
  write(0x0b, 0x22);
  EXPECT_EQ(clock.next_interrupt(now), kLeapDay + 7s);
  now += 6s;
  EXPECT_FALSE(clock.interrupt(now));
  now += 1s;
  EXPECT_TRUE(clock.interrupt(now));
  EXPECT_EQ(read(0x0c), 0xb0u);
  EXPECT_EQ(clock.next_interrupt(now), kLeapDay + 7s + 24h) << "daily";
}

// Alarm bytes from 0xc0 to 0xff match anything.
TEST_F(Mc146818Test, AlarmWildcards) {
  write(5, 0xff);
  write(3, 0xc0);
  write(1, 0x30);
  write(0x0b, 0x22);
  EXPECT_EQ(clock.next_interrupt(now), kLeapDay + 32s);
  write(1, 0xff);
  EXPECT_EQ(clock.next_interrupt(now), kLeapDay + 1s);
}

TEST_F(Mc146818Test, ImpossibleAlarmNeverComes) {
  write(0x0b, 0x22);
  for (const unsigned index : {1u, 3u, 5u}) {
    write(1, 0);
    write(3, 0);
    write(5, 0);
    write(index, 0x99);
    EXPECT_FALSE(clock.next_interrupt(now).has_value()) << index;
    now += 48h;
    EXPECT_EQ(read(0x0c) & 0x20, 0u);
  }
}

TEST_F(Mc146818Test, HostileTimesGiveSomeTime) {
  for (unsigned index = 0; index < 0x40; ++index) {
    for (unsigned value = 0; value < 256; value += 5) {
      write(0x0b, 0x80 | (value & 0x06));
      write(index, value);
      write(0x0b, value & 0x7f);
      now += 1s;
      for (unsigned from = 0; from < 128; ++from) {
        read(from);
      }
    }
  }
  write(0x0a, 0x26);
  write(0x0b, 0x06);
  EXPECT_LE(read(0), 59u);
  EXPECT_LE(read(8), 12u);
}

}  // namespace
}  // namespace gpuvm::mc146818_test
